# 2D boxes and points → self-contained triplets.
rule lift:
    input:
        code=source_files("clip2.lift.stage"),
        frames=FRAMES,
        detections=DETECTIONS,
        masks=files(experiment.masks),
    output:
        triplets=f"{MINED}/{{shard}}.parquet",
        points=f"{MINED}/{{shard}}.h5",
    log:
        "logs/lift/{source}.{detector}.{lifter}.{shard}.log",
    benchmark:
        "results/benchmarks/lift/{source}.{detector}.{lifter}.{shard}.tsv"
    priority: ON_THE_WAY
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=4000, hours=4),
    params:
        root=lambda wildcards: experiment.data_root(wildcards.source),
        masks=lambda wildcards, input: f"--masks {input.masks}" if input.masks else "",
        settings=lambda wildcards: experiment.lifter_settings(wildcards.lifter),
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 lift --frames {input.frames} --detections {input.detections} "
        "{params.masks} "
        "--data-root {params.root:q} --out {output.triplets} --settings {params.settings:q} > {log} 2>&1"
