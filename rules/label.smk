# Tracks → named 3D boxes that no human drew: `snakemake --cores 8 labels`.
rule label:
    input:
        code=source_files("clip2.label.stage"),
        frames=labelled(FRAMES),
        triplets=labelled(f"{MINED}/{{shard}}.parquet"),
        tracks=labelled(f"{TRACKED}/{{shard}}.parquet"),
        members=labelled(f"{TRACKED}/{{shard}}.members.parquet"),
        points=labelled(f"{TRACKED}/{{shard}}.h5"),
        model=files(
            lambda wildcards: [
                f"{experiment.label_model}/{name}"
                for name in ("model.safetensors", "config.json")
            ]
        ),
        teacher=files(lambda wildcards: experiment.teacher_files(experiment.parts)),
    output:
        LABELS,
    log:
        "logs/label/labels.log",
    benchmark:
        "results/benchmarks/label/labels.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: lambda wildcards, input: min(8, len(input.tracks))  # a process a shard
    resources:
        **needs(mem_mb=16000, hours=12, gpu=gpus()),
    params:
        root=lambda wildcards: experiment.data_root(experiment.parts["source"]),
        model=lambda wildcards: experiment.label_model,
        settings=lambda wildcards: experiment.label_settings,
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS=1 python -m clip2 label --frames {input.frames} --triplets {input.triplets} "
        "--tracks {input.tracks} --data-root {params.root:q} --model {params.model:q} --out {output} --device {params.device} "
        "--threads {threads} --settings {params.settings:q} > {log} 2>&1"


rule labels:
    input:
        LABELS,
