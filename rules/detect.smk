# Frames → 2D boxes with names.
rule detect:
    input:
        code=source_files("clip2.detect.stage"),
        frames=FRAMES,
        detector=files(experiment.detector_files),
    output:
        DETECTIONS,
    log:
        "logs/detect/{source}.{detector}.{shard}.log",
    benchmark:
        "results/benchmarks/detect/{source}.{detector}.{shard}.tsv"
    priority: ON_THE_WAY
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        **needs(mem_mb=8000, hours=4, gpu=gpus()),
    params:
        root=lambda wildcards: experiment.data_root(wildcards.source),
        settings=lambda wildcards: experiment.settings("detectors", wildcards.detector),
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 detect --frames {input.frames} --data-root {params.root:q} "
        "--out {output} --device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"
