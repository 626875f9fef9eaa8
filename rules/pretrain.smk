# Triplets and embeddings → a point encoder. Resumes from its own checkpoints, which are no output of the rule.
rule pretrain:
    input:
        **LEARNT_FROM,
        tracks=files(experiment.learnt_tracks, f"{TRACKED}/{{shard}}.parquet"),
        members=files(experiment.learnt_tracks, f"{TRACKED}/{{shard}}.members.parquet"),
        code=source_files("clip2.pretrain.stage"),
    output:
        multiext(
            f"{MODEL}/",
            "model.safetensors",
            "config.json",
            "README.md",
            "train_log.jsonl",
        ),
    log:
        "logs/pretrain/{sources}.{detector}.{lifter}.{teacher}.{model}.log",
    benchmark:
        "results/benchmarks/pretrain/{sources}.{detector}.{lifter}.{teacher}.{model}.tsv"
    priority: ON_THE_WAY
    conda:
        "../envs/clip2.yaml"
    threads: half_of_the_cores()
    resources:
        **needs(
            mem_mb=12000 + 4000 * experiment.config.pretrain_gpus,
            hours=24,
            gpu=gpus() * experiment.config.pretrain_gpus,
        ),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        checkpoints=lambda wildcards, output: Path("results/checkpoints")
        / Path(output[0]).parent.name,
        settings=lambda wildcards: experiment.model_settings(wildcards.model),
        device=experiment.config.device,
    shell:
        "launch=python; "
        "if [ {resources.gpu} -gt 1 ]; then launch='torchrun --standalone --nproc-per-node {resources.gpu}'; fi; "
        "OMP_NUM_THREADS={threads} $launch -m clip2 pretrain --triplets {input.triplets} --embeddings {input.embeddings} "
        "--tracks {input.tracks} --out {params.folder} --checkpoints {params.checkpoints} "
        "--device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"
