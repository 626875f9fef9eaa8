# Raw scans → frames, and human boxes → annotations.
for source, settings in CONFIG.sources.items():
    if settings.world is None:
        continue

    # A built-in world in the format of its kind of data set; the file named here is written last.
    rule:
        name:
            f"world_{source}"
        input:
            code=source_closure(MODULES[settings.kind].world),
        output:
            local(f"results/{source}/raw/world.json"),
        log:
            f"logs/world/{source}.log",
        benchmark:
            f"results/benchmarks/world/{source}.tsv"
        # First of all, the experiment's own before the others: a job for all cores would wait for jobs for one for ever.
        priority: 3 + (source in MINED_SOURCES)
        conda:
            "../envs/clip2.yaml"
        threads: 8
        resources:
            mem_mb=4000,
            runtime=hours(2),
            gpu=0,
        params:
            kind=settings.kind,
            root=lambda wildcards, output: Path(output[0]).parent,
            settings=settings_of("sources", source, "world"),
        shell:
            "python -m clip2 world {params.kind} --root {params.root} --threads {threads} "
            "--settings {params.settings:q} > {log} 2>&1"


# One job reads a data set's index once and writes all its shards.
for stage, command in (("frames", "ingest"), ("annotations", "annotations")):
    for source in sources_with(stage):

        rule:
            name:
                f"{command}_{source}"
            input:
                code=source_closure(
                    getattr(MODULES[CONFIG.sources[source].kind], stage)
                ),
                index=lambda wildcards, source=source: raw_index(source),
            output:
                all_shards(source, f"results/{{source}}/{stage}/{{shard}}.parquet"),
            log:
                f"logs/{command}/{source}.log",
            benchmark:
                f"results/benchmarks/{command}/{source}.tsv"
            conda:
                "../envs/clip2.yaml"
            threads: 1
            resources:
                mem_mb=lambda wildcards, attempt: 4000 * attempt,
                runtime=hours(6),  # ScanNet: 2.5 million short reads all over 1.3 TB
                gpu=0,
            params:
                command=command,
                kind=CONFIG.sources[source].kind,
                source=source,
                out=lambda wildcards, output: Path(output[0]).parent,
                root=lambda wildcards, source=source: data_root(source),
                settings=settings_of("sources", source, "settings"),
            shell:
                "python -m clip2 {params.command} {params.kind} --root {params.root:q} --source {params.source} "
                "--out {params.out} --settings {params.settings:q} > {log} 2>&1"
