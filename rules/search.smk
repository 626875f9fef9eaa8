# Words → mined things: `snakemake --cores 8 results/search/plastic_bag.json`.
rule search:
    input:
        code=source_files("clip2.search.stage"),
        drawing=source_files("clip2.report.search"),
        frames=searched(FRAMES),
        triplets=searched(f"{MINED}/{{shard}}.parquet"),
        points=searched(f"{MINED}/{{shard}}.h5"),
        embeddings=searched(f"{EMBEDDED}/{{shard}}.h5"),
        tracks=searched(f"{TRACKED}/{{shard}}.parquet"),
        labels=named_boxes,
        teacher=files(lambda wildcards: experiment.teacher_files(experiment.parts)),
    output:
        found="results/search/{words}.json",
        sheet="results/search/{words}.png",
    log:
        "logs/search/{words}.log",
    benchmark:
        "results/benchmarks/search/{words}.tsv"
    wildcard_constraints:
        words="[a-z0-9_]+",
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        **needs(mem_mb=4000, minutes=10, gpu=gpus()),
    params:
        phrase=lambda wildcards: wildcards.words.replace("_", " "),
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 search {params.phrase:q} --embeddings {input.embeddings} "
        "--out {output.found} --device {params.device} --threads {threads} > {log} 2>&1"
