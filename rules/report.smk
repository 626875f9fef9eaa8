# Pictures, and the configured experiment's results under their fixed names.
rule report_result:
    input:
        code=source_closure("clip2.report.stage"),
        result=f"{MODEL}/{{benchmark}}_zeroshot.json",
    output:
        f"{MODEL}/{{benchmark}}_zeroshot.png",
    log:
        "logs/report/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.log",
    benchmark:
        "results/benchmarks/report/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="10m",
        gpu=0,
    shell:
        "python -m clip2 report-result --result {input.result} --out {output} > {log} 2>&1"


rule report_fewshot:
    input:
        code=source_closure("clip2.report.fewshot_figure"),
        result=f"{MODEL}/{{benchmark}}_fewshot.json",
    output:
        f"{MODEL}/{{benchmark}}_fewshot.png",
    log:
        "logs/report/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}_fewshot.log",
    benchmark:
        "results/benchmarks/report/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}_fewshot.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="10m",
        gpu=0,
    shell:
        "python -m clip2 report-fewshot --result {input.result} --out {output} > {log} 2>&1"


rule report_triplets:
    input:
        code=source_closure("clip2.report.stage"),
        triplets=train_shards(f"{MINED}/{{shard}}.parquet"),
        points=train_shards(f"{MINED}/{{shard}}.h5"),
    output:
        f"{MINED}/triplets.png",
    log:
        "logs/report/{source}.{detector}.{lifter}.log",
    benchmark:
        "results/benchmarks/report/{source}.{detector}.{lifter}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime="10m",
        gpu=0,
    shell:
        "python -m clip2 report-triplets --triplets {input.triplets} --out {output} > {log} 2>&1"


# What was made → its fixed name: all results of all benchmarks, and pictures of the experiment's own.
PUBLISHED = {
    f"{name}_{task}.json": f"{MODEL}/{{benchmark}}_{task}.json".format(**parts_of(name))
    for name, spec in BENCHMARKS.items()
    for task in spec.tasks
}
RESULTS = list(PUBLISHED)
PUBLISHED |= {
    f"{name}_{task}.png": f"{MODEL}/{{benchmark}}_{task}.png".format(**parts_of(name))
    for name, spec in BENCHMARKS.items()
    for task in ("zeroshot", "fewshot")
    if task in spec.tasks
}
OF_FIRST_SOURCE = dict(EXPERIMENT, source=MINED_SOURCES[0])
PUBLISHED["triplets.png"] = f"{MINED}/triplets.png".format(**OF_FIRST_SOURCE)
if MINED_SOURCES[0] in CUT_BY_BOXES:  # boxes by sample; ScanNet's are by scene
    PUBLISHED["audit.json"] = f"{MINED}/audit.json".format(**OF_FIRST_SOURCE)
DEFAULT_TARGETS = [
    name
    for name in PUBLISHED
    if name.startswith(f"{EXPERIMENT['benchmark']}_zeroshot.")
    or name in ("triplets.png", "audit.json")
]


rule benchmark_table:
    input:
        code=source_closure("clip2.report.benchmark"),
        results=[f"results/{name}" for name in RESULTS],
    output:
        table="results/benchmark.json",
        text="results/benchmark.md",
    log:
        "logs/report/benchmark.log",
    benchmark:
        "results/benchmarks/report/benchmark.tsv"
    localrule: True
    conda:
        "../envs/clip2.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
        gpu=0,
    shell:
        "python -m clip2 report-benchmark --results {input.results} --out {output.table} > {log} 2>&1"


for name, made in PUBLISHED.items():

    rule:
        name:
            f"publish_{name.replace('.', '_')}"
        input:
            made,
        output:
            f"results/{name}",
        log:
            f"logs/publish/{name}.log",
        benchmark:
            f"results/benchmarks/publish/{name}.tsv"
        localrule: True
        conda:
            "../envs/clip2.yaml"
        threads: 1
        resources:
            mem_mb=100,
            runtime="5m",
            gpu=0,
        shell:
            "cp {input} {output}.part 2> {log} && mv {output}.part {output} 2>> {log}"
