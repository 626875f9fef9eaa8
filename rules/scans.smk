# Raw scans → frames, and human boxes → annotations.
for source, settings in experiment.config.sources.items():
    if settings.world is None:
        continue

    # A built-in world in the format of its kind of data set; the file named here is written last.
    rule:
        name:
            f"world_{source}"
        input:
            code=source_files(STAGES[settings.kind]),
        output:
            local(f"results/{source}/raw/world.json"),
        log:
            f"logs/world/{source}.log",
        benchmark:
            f"results/benchmarks/world/{source}.tsv"
        # First of all, the experiment's own before the others: a job for all cores would wait for jobs for one for ever.
        priority: ON_THE_WAY + 1 + (source in experiment.mined_sources)
        conda:
            "../envs/clip2.yaml"
        threads: 8
        resources:
            **needs(mem_mb=4000, hours=2),
        params:
            kind=settings.kind,
            root=lambda wildcards, output: Path(output[0]).parent,
            settings=experiment.settings("sources", source, "world"),
        shell:
            "python -m clip2_world {params.kind} --root {params.root} --threads {threads} "
            "--settings {params.settings:q} > {log} 2>&1"


# One job reads a data set's index once and writes all its shards.
for stage, command, pattern in (
    ("frames", "ingest", FRAMES),
    ("annotations", "annotations", ANNOTATIONS),
):
    for source in experiment.sources_with(stage):

        rule:
            name:
                f"{command}_{source}"
            input:
                code=source_files(experiment.module(source, stage)),
                index=raw_index(source, stage),
            output:
                experiment.all_shards(source, pattern),
            log:
                f"logs/{command}/{source}.log",
            benchmark:
                f"results/benchmarks/{command}/{source}.tsv"
            priority: ON_THE_WAY if stage == "frames" else BEFORE_RESULTS
            conda:
                "../envs/clip2.yaml"
            resources:
                **needs(mem_mb=4000, hours=6),  # ScanNet: 2.5 million short reads all over 1.3 TB
            params:
                command=command,
                kind=experiment.config.sources[source].kind,
                source=source,
                out=lambda wildcards, output: Path(output[0]).parent,
                root=lambda wildcards, source=source: experiment.data_root(source),
                beside=lambda wildcards, source=source, stage=stage: beside_index(
                    source, stage
                ),
                settings=experiment.source_settings(source),
            shell:
                "python -m clip2 {params.command} {params.kind} --root {params.root:q} --source {params.source} "
                "--out {params.out} --settings {params.settings:q} > {log} 2>&1"
