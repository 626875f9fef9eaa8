# Triplets (or rendered shapes) → rivals that have to be trained, and the weights of the ensemble.
rule tune:
    input:
        code=source_closure("clip2.evaluate.rivals.tune"),
        triplets=train_shards(f"{MINED}/{{shard}}.parquet"),
        points=train_shards(f"{MINED}/{{shard}}.h5"),
        embeddings=train_shards(f"{EMBEDDED}/{{shard}}.h5"),
        model=teacher_files,
    output:
        TOWER,
    log:
        "logs/tune/{sources}.{detector}.{lifter}.{teacher}.{tower}.log",
    benchmark:
        "results/benchmarks/tune/{sources}.{detector}.{lifter}.{teacher}.{tower}.tsv"
    wildcard_constraints:
        tower="|".join(TUNED) or "(?!)",
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=hours(24),
        gpu=gpus(),
    params:
        checkpoint=lambda wildcards, output: Path("results/checkpoints")
        / f"{Path(output[0]).parent.name}.{wildcards.tower}.pt",
        settings=tune_settings(None),
        device=config["device"],
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 tune --triplets {input.triplets} --embeddings {input.embeddings} "
        "--out {output} --checkpoint {params.checkpoint} --device {params.device} --threads {threads} "
        "--settings {params.settings:q} > {log} 2>&1"


for name, pairs in PRETRAINED.items():

    rule:
        name:
            f"pretrain_{name}"
        input:
            code=source_closure("clip2.evaluate.rivals.tune"),
            index=lambda wildcards, pairs=pairs: raw_index(pairs),
            model=teacher_files,
        output:
            SHAPE_TOWER.replace("{pairs}", pairs).replace("{tower}", name),
        log:
            f"logs/tune/{pairs}.{{teacher}}.{name}.log",
        benchmark:
            f"results/benchmarks/tune/{pairs}.{{teacher}}.{name}.tsv"
        conda:
            "../envs/clip2.yaml"
        threads: workers()
        resources:
            mem_mb=lambda wildcards, attempt: 16000 * attempt,
            runtime=hours(24),
            gpu=gpus(),
        params:
            root=lambda wildcards, pairs=pairs: data_root(pairs),
            settings=tune_settings(name),
            device=config["device"],
        shell:
            "OMP_NUM_THREADS={threads} python -m clip2 tune --triplets {params.root:q}/*.parquet "
            "--out {output} --device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"


rule ensemble:
    input:
        code=source_closure("clip2.evaluate.ensemble.stage"),
        triplets=train_shards(f"{MINED}/{{shard}}.parquet"),
        points=train_shards(f"{MINED}/{{shard}}.h5"),
        embeddings=train_shards(f"{EMBEDDED}/{{shard}}.h5"),
        model=multiext(f"{MODEL}/", "model.safetensors", "config.json"),
        teacher=teacher_files,
        towers=towers,
    output:
        f"{MODEL}/ensemble.json",
    log:
        "logs/ensemble/{sources}.{detector}.{lifter}.{teacher}.{model}.log",
    benchmark:
        "results/benchmarks/ensemble/{sources}.{detector}.{lifter}.{teacher}.{model}.tsv"
    priority: 1
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=hours(4),
        gpu=gpus(),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        settings=settings_of("evaluation", "ensemble"),
        device=config["device"],
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 ensemble --triplets {input.triplets} "
        "--embeddings {input.embeddings} --model {params.folder} --towers {input.towers} --out {output} "
        "--device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"
