# Triplets (or rendered shapes) → rivals that have to be trained, and the weights of the ensemble.
rule tune:
    input:
        **LEARNT_FROM,
        code=source_files("clip2.evaluate.rivals.tune"),
        model=files(experiment.teacher_files),
    output:
        TOWER,
    log:
        "logs/tune/{sources}.{detector}.{lifter}.{teacher}.{tower}.log",
    benchmark:
        "results/benchmarks/tune/{sources}.{detector}.{lifter}.{teacher}.{tower}.tsv"
    wildcard_constraints:
        tower="|".join(experiment.tuned) or "(?!)",
    priority: BEFORE_TOWERS
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        **needs(mem_mb=16000, hours=24, gpu=gpus()),
    params:
        checkpoint=lambda wildcards, output: Path("results/checkpoints")
        / f"{Path(output[0]).parent.name}.{wildcards.tower}.pt",
        settings=lambda wildcards: experiment.tune(wildcards.tower, wildcards.teacher),
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 tune --triplets {input.triplets} --embeddings {input.embeddings} "
        "--out {output} --checkpoint {params.checkpoint} --device {params.device} --threads {threads} "
        "--settings {params.settings:q} > {log} 2>&1"


for name, pairs in experiment.pretrained.items():

    rule:
        name:
            f"tune_{name}"
        input:
            code=source_files("clip2.evaluate.rivals.tune"),
            index=raw_index(pairs),
            model=files(experiment.teacher_files),
        output:
            SHAPE_TOWER.replace("{pairs}", pairs).replace("{tower}", name),
        log:
            f"logs/tune/{pairs}.{{teacher}}.{name}.log",
        benchmark:
            f"results/benchmarks/tune/{pairs}.{{teacher}}.{name}.tsv"
        priority: BEFORE_TOWERS
        conda:
            "../envs/clip2.yaml"
        threads: workers()
        resources:
            **needs(mem_mb=16000, hours=24, gpu=gpus()),
        params:
            root=lambda wildcards, pairs=pairs: experiment.data_root(pairs),
            settings=lambda wildcards, name=name: experiment.tune(
                name, wildcards.teacher
            ),
            device=experiment.config.device,
        shell:
            "OMP_NUM_THREADS={threads} python -m clip2 tune --triplets {params.root:q}/*.parquet "
            "--out {output} --device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"


rule ensemble:
    input:
        **LEARNT_FROM,
        **OF_MODEL,
        code=source_files("clip2.evaluate.ensemble.stage"),
        towers=files(experiment.tower_files),
    output:
        f"{MODEL}/ensemble.json",
    log:
        "logs/ensemble/{sources}.{detector}.{lifter}.{teacher}.{model}.log",
    benchmark:
        "results/benchmarks/ensemble/{sources}.{detector}.{lifter}.{teacher}.{model}.tsv"
    priority: BEFORE_RESULTS
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        **needs(mem_mb=8000, hours=4, gpu=gpus()),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        settings=experiment.settings("evaluation", "ensemble"),
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 ensemble --triplets {input.triplets} "
        "--embeddings {input.embeddings} --model {params.folder} --towers {input.towers} --out {output} "
        "--device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"
