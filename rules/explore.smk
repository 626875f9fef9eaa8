from clip2.explore.bundle import page_files


# Labels, and all that they come from → a page to look at.
rule report_explorer:
    input:
        code=source_files("clip2.explore.stage"),
        page=local(page_files()),
        labels=LABELS,
        frames=labelled(FRAMES),
        detections=labelled(DETECTIONS),
        triplets=labelled(f"{MINED}/{{shard}}.parquet"),
        embeddings=labelled(f"{EMBEDDED}/{{shard}}.h5"),
        tracks=labelled(f"{TRACKED}/{{shard}}.parquet"),
        members=labelled(f"{TRACKED}/{{shard}}.members.parquet"),
        results=[f"results/{name}" for name in experiment.explored_results],
        logs=experiment.explored_logs,
    output:
        "results/explorer/index.html",
    log:
        "logs/report/explorer.log",
    benchmark:
        "results/benchmarks/report/explorer.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: 4
    resources:
        **needs(mem_mb=4000, hours=4),
    params:
        root=lambda wildcards: experiment.data_root(experiment.parts["source"]),
        settings=experiment.settings("explorer"),
    shell:
        "OMP_NUM_THREADS=1 python -m clip2 report-explorer --labels {input.labels} --frames {input.frames} "
        "--detections {input.detections} --triplets {input.triplets} --embeddings {input.embeddings} "
        "--tracks {input.tracks} --results {input.results} --logs {input.logs} --data-root {params.root:q} "
        "--threads {threads} --out {output} --settings {params.settings:q} > {log} 2>&1"
