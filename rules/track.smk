# Triplets of one thing, over the cameras of a sample and over the samples of a scene → tracks.
rule track:
    input:
        code=source_files("clip2.track.stage"),
        frames=FRAMES,
        triplets=f"{MINED}/{{shard}}.parquet",
        points=f"{MINED}/{{shard}}.h5",
        embeddings=f"{EMBEDDED}/{{shard}}.h5",
    output:
        tracks=f"{TRACKED}/{{shard}}.parquet",
        members=f"{TRACKED}/{{shard}}.members.parquet",
        points=f"{TRACKED}/{{shard}}.h5",
    log:
        "logs/track/{source}.{detector}.{lifter}.{teacher}.{shard}.log",
    benchmark:
        "results/benchmarks/track/{source}.{detector}.{lifter}.{teacher}.{shard}.tsv"
    priority: ON_THE_WAY
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=4000, hours=2),
    params:
        settings=experiment.settings("track"),
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 track --frames {input.frames} --triplets {input.triplets} "
        "--embeddings {input.embeddings} --out {output.tracks} --settings {params.settings:q} > {log} 2>&1"
