# Triplets → the frozen teacher's embeddings.
rule embed:
    input:
        code=source_files("clip2.teach.stage"),
        triplets=f"{MINED}/{{shard}}.parquet",
        model=files(experiment.teacher_files),
    output:
        f"{EMBEDDED}/{{shard}}.h5",
    log:
        "logs/embed/{source}.{detector}.{lifter}.{teacher}.{shard}.log",
    benchmark:
        "results/benchmarks/embed/{source}.{detector}.{lifter}.{teacher}.{shard}.tsv"
    priority: ON_THE_WAY
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        **needs(mem_mb=8000, hours=4, gpu=gpus()),
    params:
        settings=lambda wildcards: experiment.settings("teachers", wildcards.teacher),
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 embed --triplets {input.triplets} --out {output} "
        "--device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"
