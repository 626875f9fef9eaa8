# 2D boxes and points → self-contained triplets.
rule lift:
    input:
        code=source_closure("clip2.lift.stage"),
        frames="results/{source}/frames/{shard}.parquet",
        detections="results/{source}/detections/{detector}/{shard}.parquet",
    output:
        triplets=f"{MINED}/{{shard}}.parquet",
        points=f"{MINED}/{{shard}}.h5",
    log:
        "logs/lift/{source}.{detector}.{lifter}.{shard}.log",
    benchmark:
        "results/benchmarks/lift/{source}.{detector}.{lifter}.{shard}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=hours(4),
        gpu=0,
    params:
        root=lambda wildcards: data_root(wildcards.source),
        settings=lambda wildcards: settings_of("lifters", wildcards.lifter),
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 lift --frames {input.frames} --detections {input.detections} "
        "--data-root {params.root:q} --out {output.triplets} --settings {params.settings:q} > {log} 2>&1"
