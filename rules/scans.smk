# Raw scans → frames, and human boxes → annotations.
NUSCENES_TABLES = (
    "attribute calibrated_sensor category ego_pose instance log map sample sample_annotation sample_data scene sensor "
    "visibility"
).split()


rule world:
    input:
        code=source_closure("clip2.scans.world.stage"),
    output:
        expand("results/{{source}}/raw/{{version}}/{table}.json", table=NUSCENES_TABLES),
    log:
        "logs/world/{source}.{version}.log",
    benchmark:
        "results/benchmarks/world/{source}.{version}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: workflow.cores or 1
    resources:
        mem_mb=4000,
        runtime="2h",
        gpu=0,
    params:
        settings=lambda wildcards: settings_of("sources", wildcards.source, "world"),
    shell:
        "python -m clip2 world --root results/{wildcards.source}/raw --version {wildcards.version} --threads {threads} "
        "--settings {params.settings:q} > {log} 2>&1"


# One job reads a data set's tables once and writes all its shards.
for source in config["sources"]:

    rule:
        name:
            f"ingest_{source}"
        input:
            code=source_closure("clip2.scans.nuscenes.frames"),
            tables=lambda wildcards, source=source: [
                raw_table(source, name)
                for name in (
                    "scene",
                    "sample",
                    "sample_data",
                    "calibrated_sensor",
                    "ego_pose",
                    "sensor",
                )
            ],
        output:
            expand(
                "results/{source}/frames/{shard}.parquet",
                source=source,
                shard=[
                    shard for role in ROLES for shard in source_shards(source, role)
                ],
            ),
        log:
            f"logs/ingest/{source}.log",
        benchmark:
            f"results/benchmarks/ingest/{source}.tsv"
        conda:
            "../envs/clip2.yaml"
        threads: 1
        resources:
            mem_mb=lambda wildcards, attempt: 16000 * attempt,
            runtime="1h",
            gpu=0,
        params:
            source=source,
            root=lambda wildcards, source=source: data_root(source),
            settings=settings_of("sources", source, "nuscenes"),
        shell:
            "python -m clip2 ingest --root {params.root:q} --source {params.source} --out results/{params.source}/frames "
            "--settings {params.settings:q} > {log} 2>&1"

    rule:
        name:
            f"annotations_{source}"
        input:
            code=source_closure("clip2.scans.nuscenes.annotations"),
            tables=lambda wildcards, source=source: [
                raw_table(source, name) for name in NUSCENES_TABLES
            ],
        output:
            expand(
                "results/{source}/annotations/{shard}.parquet",
                source=source,
                shard=[
                    shard for role in ROLES for shard in source_shards(source, role)
                ],
            ),
        log:
            f"logs/annotations/{source}.log",
        benchmark:
            f"results/benchmarks/annotations/{source}.tsv"
        conda:
            "../envs/clip2.yaml"
        threads: 1
        resources:
            mem_mb=lambda wildcards, attempt: 16000 * attempt,
            runtime="1h",
            gpu=0,
        params:
            source=source,
            root=lambda wildcards, source=source: data_root(source),
            settings=settings_of("sources", source, "nuscenes"),
        shell:
            "python -m clip2 annotations --root {params.root:q} --source {params.source} "
            "--out results/{params.source}/annotations --settings {params.settings:q} > {log} 2>&1"
