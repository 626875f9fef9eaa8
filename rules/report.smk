# Pictures, and the configured experiment's results under their fixed names.
rule report_result:
    input:
        code=source_closure("clip2.report.stage"),
        result=f"{MODEL}/nuscenes_zeroshot.json",
    output:
        f"{MODEL}/nuscenes_zeroshot.png",
    log:
        "logs/report/{source}.{detector}.{lifter}.{teacher}.{model}.log",
    benchmark:
        "results/benchmarks/report/{source}.{detector}.{lifter}.{teacher}.{model}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="10m",
        gpu=0,
    shell:
        "python -m clip2 report-result --result {input.result} --out {output} > {log} 2>&1"


rule report_triplets:
    input:
        code=source_closure("clip2.report.stage"),
        triplets=train_shards(
            "results/{source}/triplets/{detector}.{lifter}/{shard}.parquet"
        ),
        points=train_shards("results/{source}/triplets/{detector}.{lifter}/{shard}.h5"),
    output:
        "results/{source}/triplets/{detector}.{lifter}/triplets.png",
    log:
        "logs/report/{source}.{detector}.{lifter}.log",
    benchmark:
        "results/benchmarks/report/{source}.{detector}.{lifter}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="10m",
        gpu=0,
    shell:
        "python -m clip2 report-triplets --triplets {input.triplets} --out {output} > {log} 2>&1"


# What was made by the configured experiment → its fixed name.
PUBLISHED = {
    "nuscenes_zeroshot.json": f"{MODEL}/nuscenes_zeroshot.json",
    "nuscenes_zeroshot.png": f"{MODEL}/nuscenes_zeroshot.png",
    "triplets.png": "results/{source}/triplets/{detector}.{lifter}/triplets.png",
    "audit.json": "results/{source}/triplets/{detector}.{lifter}/audit.json",
}

for name, made in PUBLISHED.items():

    rule:
        name:
            f"publish_{name.replace('.', '_')}"
        input:
            experiment_path(made),
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
