# Frames → 2D boxes with names.
rule detect:
    input:
        code=source_closure("clip2.detect.stage"),
        frames="results/{source}/frames/{shard}.parquet",
        detector=detector_files,
    output:
        "results/{source}/detections/{detector}/{shard}.parquet",
    log:
        "logs/detect/{source}.{detector}.{shard}.log",
    benchmark:
        "results/benchmarks/detect/{source}.{detector}.{shard}.tsv"
    priority: gpus()  # a GPU does not wait while small jobs take the cores
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=hours(4),
        gpu=gpus(),
    params:
        root=lambda wildcards: data_root(wildcards.source),
        settings=lambda wildcards: settings_of("detectors", wildcards.detector),
        device=config["device"],
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 detect --frames {input.frames} --data-root {params.root:q} "
        "--out {output} --device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"
