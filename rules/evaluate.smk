# Human boxes enter here, and nowhere before.
rule objects:
    input:
        code=source_closure("clip2.evaluate.objects"),
        frames="results/{source}/frames/{shard}.parquet",
        annotations="results/{source}/annotations/{shard}.parquet",
    output:
        objects="results/{source}/objects/{shard}.parquet",
        points="results/{source}/objects/{shard}.h5",
    log:
        "logs/objects/{source}.{shard}.log",
    benchmark:
        "results/benchmarks/objects/{source}.{shard}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime="2h",
        gpu=0,
    params:
        root=lambda wildcards: data_root(wildcards.source),
        settings=settings_of("evaluation", "objects"),
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 objects --frames {input.frames} --annotations {input.annotations} "
        "--data-root {params.root:q} --out {output.objects} --settings {params.settings:q} > {log} 2>&1"


rule zeroshot:
    input:
        code=source_closure("clip2.evaluate.zeroshot"),
        objects=val_shards("results/{source}/objects/{shard}.parquet"),
        points=val_shards("results/{source}/objects/{shard}.h5"),
        model=multiext(f"{MODEL}/", "model.safetensors", "config.json"),
        teacher=lambda wildcards: model_files(
            config["teachers"][wildcards.teacher]["model"]
        ),
    output:
        f"{MODEL}/nuscenes_zeroshot.json",
    log:
        "logs/zeroshot/{source}.{detector}.{lifter}.{teacher}.{model}.log",
    benchmark:
        "results/benchmarks/zeroshot/{source}.{detector}.{lifter}.{teacher}.{model}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime="4h",
        gpu=gpus(),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        settings=settings_of("evaluation", "zeroshot"),
        device=config["device"],
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 zeroshot --objects {input.objects} --model {params.folder} "
        "--out {output} --device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"


rule audit:
    input:
        code=source_closure("clip2.evaluate.audit"),
        frames=train_shards("results/{source}/frames/{shard}.parquet"),
        annotations=train_shards("results/{source}/annotations/{shard}.parquet"),
        triplets=train_shards(
            "results/{source}/triplets/{detector}.{lifter}/{shard}.parquet"
        ),
        points=train_shards("results/{source}/triplets/{detector}.{lifter}/{shard}.h5"),
    output:
        "results/{source}/triplets/{detector}.{lifter}/audit.json",
    log:
        "logs/audit/{source}.{detector}.{lifter}.log",
    benchmark:
        "results/benchmarks/audit/{source}.{detector}.{lifter}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime="4h",
        gpu=0,
    params:
        root=lambda wildcards: data_root(wildcards.source),
        settings=settings_of("evaluation", "audit"),
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 audit --frames {input.frames} --annotations {input.annotations} "
        "--triplets {input.triplets} --data-root {params.root:q} --out {output} "
        "--settings {params.settings:q} > {log} 2>&1"
