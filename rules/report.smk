# Pictures, and the configured experiment's results under their fixed names.
rule report_result:
    input:
        code=source_files("clip2.report.stage"),
        result=f"{MODEL}/{{benchmark}}_zeroshot.json",
    output:
        f"{MODEL}/{{benchmark}}_zeroshot.png",
    log:
        "logs/report/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.log",
    benchmark:
        "results/benchmarks/report/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.tsv"
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=2000, minutes=10),
    shell:
        "python -m clip2 report-result --result {input.result} --out {output} > {log} 2>&1"


rule report_fewshot:
    input:
        code=source_files("clip2.report.fewshot_figure"),
        result=f"{MODEL}/{{benchmark}}_fewshot.json",
    output:
        f"{MODEL}/{{benchmark}}_fewshot.png",
    log:
        "logs/report/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}_fewshot.log",
    benchmark:
        "results/benchmarks/report/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}_fewshot.tsv"
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=2000, minutes=10),
    shell:
        "python -m clip2 report-fewshot --result {input.result} --out {output} > {log} 2>&1"


rule report_triplets:
    input:
        code=source_files("clip2.report.stage"),
        triplets=files(experiment.mined, f"{MINED}/{{shard}}.parquet"),
        points=files(experiment.mined, f"{MINED}/{{shard}}.h5"),
    output:
        f"{MINED}/triplets.png",
    log:
        "logs/report/{source}.{detector}.{lifter}.log",
    benchmark:
        "results/benchmarks/report/{source}.{detector}.{lifter}.tsv"
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=2000, minutes=10),
    shell:
        "python -m clip2 report-triplets --triplets {input.triplets} --out {output} > {log} 2>&1"


rule report_benchmark:
    input:
        code=source_files("clip2.report.named"),
        results=[f"results/{name}" for name in experiment.results],
    output:
        table="results/benchmark.json",
        text="results/benchmark.md",
        page=reported(
            "results/tables/benchmark.html",
            "benchmark",
            "All benchmarks",
            what="table",
        ),
    log:
        "logs/report/benchmark.log",
    benchmark:
        "results/benchmarks/report/benchmark.tsv"
    localrule: True
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=1000, minutes=10),
    shell:
        "python -m clip2 report-benchmark --results {input.results} --out {output.table} "
        "--page {output.page} > {log} 2>&1"


# What was made → its fixed name; a result also becomes a page to read, which `snakemake --report` shows.
for name, made in experiment.published.items():

    rule:
        name:
            f"publish_{name.replace('.', '_')}"
        input:
            code=source_files("clip2.report.publish"),
            made=made,
        output:
            **published(name),
        log:
            f"logs/publish/{name}.log",
        benchmark:
            f"results/benchmarks/publish/{name}.tsv"
        localrule: True
        conda:
            "../envs/clip2.yaml"
        resources:
            **needs(mem_mb=500, minutes=5),
        params:
            table=lambda wildcards, output: (
                f"--table {output.table}" if "table" in output.keys() else ""
            ),
        shell:
            "python -m clip2 publish --made {input.made} --out {output.made} {params.table} > {log} 2>&1"
