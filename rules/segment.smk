# 2D boxes → masks. Optional: only what is lifted with masks asks for them.
rule segment:
    input:
        code=source_files("clip2.segment.stage"),
        frames=FRAMES,
        detections=DETECTIONS,
        segmenter=files(experiment.segmenter_files),
    output:
        MASKS,
    log:
        "logs/segment/{source}.{detector}.{segmenter}.{shard}.log",
    benchmark:
        "results/benchmarks/segment/{source}.{detector}.{segmenter}.{shard}.tsv"
    priority: ON_THE_WAY
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        **needs(mem_mb=8000, hours=4, gpu=gpus()),
    params:
        root=lambda wildcards: experiment.data_root(wildcards.source),
        settings=lambda wildcards: experiment.settings(
            "segmenters", wildcards.segmenter
        ),
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 segment --frames {input.frames} --detections {input.detections} "
        "--data-root {params.root:q} --out {output} --device {params.device} --threads {threads} "
        "--settings {params.settings:q} > {log} 2>&1"
