# Human boxes enter here, and nowhere before.
CUT_BY_BOXES = [
    name
    for name in sources_with("objects")
    if MODULES[CONFIG.sources[name].kind].objects == BY_BOXES
]
SCANNETS = [name for name in sources_with("objects") if name not in CUT_BY_BOXES]


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
    wildcard_constraints:
        source="|".join(CUT_BY_BOXES) or "(?!)",
    conda:
        "../envs/clip2.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=hours(2),
        gpu=0,
    params:
        root=lambda wildcards: data_root(wildcards.source),
        settings=settings_of("evaluation", "objects"),
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 objects --frames {input.frames} --annotations {input.annotations} "
        "--data-root {params.root:q} --out {output.objects} --settings {params.settings:q} > {log} 2>&1"


# ScanNet's objects are the instances of its meshes.
rule scannet_objects:
    input:
        code=source_closure("clip2.evaluate.scannet.objects"),
        frames="results/{source}/frames/{shard}.parquet",
    output:
        objects="results/{source}/objects/{shard}.parquet",
        points="results/{source}/objects/{shard}.h5",
    log:
        "logs/objects/{source}.{shard}.log",
    benchmark:
        "results/benchmarks/objects/{source}.{shard}.tsv"
    wildcard_constraints:
        source="|".join(SCANNETS) or "(?!)",
    conda:
        "../envs/clip2.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=hours(4),
        gpu=0,
    params:
        root=lambda wildcards: data_root(wildcards.source),
        settings=settings_of("evaluation", "scannet_objects"),
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 scannet-objects --frames {input.frames} "
        "--data-root {params.root:q} --out {output.objects} --settings {params.settings:q} > {log} 2>&1"


# Sets of single objects: one job reads the files and writes all shards.
for source in sources_with("object_set"):

    rule:
        name:
            f"objects_{source}"
        input:
            code=source_closure(MODULES[CONFIG.sources[source].kind].object_set),
            index=lambda wildcards, source=source: raw_index(source),
        output:
            all_shards(source, "results/{source}/objects/{shard}.parquet"),
            all_shards(source, "results/{source}/objects/{shard}.h5"),
        log:
            f"logs/objects/{source}.log",
        benchmark:
            f"results/benchmarks/objects/{source}.tsv"
        conda:
            "../envs/clip2.yaml"
        threads: 1
        resources:
            mem_mb=lambda wildcards, attempt: 4000 * attempt,
            runtime=hours(1),
            gpu=0,
        params:
            kind=CONFIG.sources[source].kind,
            source=source,
            out=lambda wildcards, output: Path(output[0]).parent,
            root=lambda wildcards, source=source: data_root(source),
            settings=settings_of("sources", source, "settings"),
        shell:
            "python -m clip2 object-set {params.kind} --root {params.root:q} --source {params.source} "
            "--out {params.out} --settings {params.settings:q} > {log} 2>&1"


rule encode_objects:
    input:
        code=source_closure("clip2.evaluate.encode_objects"),
        objects="results/{source}/objects/{shard}.parquet",
        points="results/{source}/objects/{shard}.h5",
        teacher=teacher_files,
    output:
        ENCODED,
    log:
        "logs/encode_objects/{source}.{teacher}.{shard}.log",
    benchmark:
        "results/benchmarks/encode_objects/{source}.{teacher}.{shard}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=hours(4),
        gpu=gpus(),
    params:
        settings=teacher_settings,
        device=config["device"],
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 encode-objects --objects {input.objects} --out {output} "
        "--device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"


rule encode_objects_by_towers:
    input:
        code=source_closure("clip2.evaluate.encode_objects"),
        objects=lambda wildcards: f"results/{BENCHMARKS[wildcards.benchmark].source}/objects/{wildcards.shard}.parquet",
        points=lambda wildcards: f"results/{BENCHMARKS[wildcards.benchmark].source}/objects/{wildcards.shard}.h5",
        teacher=teacher_files,
        towers=image_towers,
    output:
        TOWER_ENCODED,
    log:
        "logs/encode_objects/{sources}.{detector}.{lifter}.{teacher}.{benchmark}.{shard}.log",
    benchmark:
        "results/benchmarks/encode_objects/{sources}.{detector}.{lifter}.{teacher}.{benchmark}.{shard}.tsv"
    priority: 1  # the last long step before a result
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=hours(4),
        gpu=gpus(),
    params:
        settings=teacher_settings,
        device=config["device"],
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 encode-objects --objects {input.objects} --towers {input.towers} "
        "--out {output} --device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"


rule zeroshot:
    input:
        code=source_closure("clip2.evaluate.zeroshot"),
        encoded=encoded,
        objects=benchmark_shards("results/{source}/objects/{shard}.parquet"),
        points=benchmark_shards("results/{source}/objects/{shard}.h5"),
        model=multiext(f"{MODEL}/", "model.safetensors", "config.json"),
        teacher=teacher_files,
        towers=towers,
        ensemble=f"{MODEL}/ensemble.json",
    output:
        f"{MODEL}/{{benchmark}}_zeroshot.json",
    log:
        "logs/zeroshot/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.log",
    benchmark:
        "results/benchmarks/zeroshot/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.tsv"
    priority: 1  # the longest of the evaluations
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=hours(4),
        gpu=gpus(),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        settings=lambda wildcards: evaluation_of(wildcards.benchmark, "zeroshot"),
        device=config["device"],
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 zeroshot --objects {input.objects} --model {params.folder} "
        "--encoded {input.encoded} --towers {input.towers} --ensemble {input.ensemble} "
        "--out {output} --device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"


rule fewshot:
    input:
        code=source_closure("clip2.evaluate.fewshot.stage"),
        train=benchmark_shards("results/{source}/objects/{shard}.parquet", "train"),
        train_points=benchmark_shards("results/{source}/objects/{shard}.h5", "train"),
        val=benchmark_shards("results/{source}/objects/{shard}.parquet"),
        val_points=benchmark_shards("results/{source}/objects/{shard}.h5"),
        model=multiext(f"{MODEL}/", "model.safetensors", "config.json"),
        teacher=teacher_files,
    output:
        f"{MODEL}/{{benchmark}}_fewshot.json",
    log:
        "logs/fewshot/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.log",
    benchmark:
        "results/benchmarks/fewshot/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=hours(4),
        gpu=gpus(),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        settings=lambda wildcards: evaluation_of(wildcards.benchmark, "fewshot"),
        device=config["device"],
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 fewshot --train {input.train} --val {input.val} "
        "--model {params.folder} --out {output} --device {params.device} --threads {threads} "
        "--settings {params.settings:q} > {log} 2>&1"


rule localization:
    input:
        code=source_closure("clip2.evaluate.localization.stage"),
        frames=benchmark_shards("results/{source}/frames/{shard}.parquet"),
        annotations=benchmark_shards("results/{source}/annotations/{shard}.parquet"),
        triplets=benchmark_shards(f"{MINED}/{{shard}}.parquet"),
        points=benchmark_shards(f"{MINED}/{{shard}}.h5"),
        model=multiext(f"{MODEL}/", "model.safetensors", "config.json"),
        teacher=teacher_files,
    output:
        f"{MODEL}/{{benchmark}}_localization.json",
    log:
        "logs/localization/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.log",
    benchmark:
        "results/benchmarks/localization/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=hours(4),
        gpu=gpus(),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        root=lambda wildcards: data_root(BENCHMARKS[wildcards.benchmark].source),
        settings=lambda wildcards: evaluation_of(wildcards.benchmark, "localization"),
        device=config["device"],
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 localization --frames {input.frames} "
        "--annotations {input.annotations} --triplets {input.triplets} --data-root {params.root:q} "
        "--model {params.folder} --out {output} --device {params.device} --threads {threads} "
        "--settings {params.settings:q} > {log} 2>&1"


rule retrieval:
    input:
        code=source_closure("clip2.evaluate.retrieval.stage"),
        objects=benchmark_shards("results/{source}/objects/{shard}.parquet"),
        points=benchmark_shards("results/{source}/objects/{shard}.h5"),
        model=multiext(f"{MODEL}/", "model.safetensors", "config.json"),
        teacher=teacher_files,
    output:
        f"{MODEL}/{{benchmark}}_retrieval.json",
    log:
        "logs/retrieval/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.log",
    benchmark:
        "results/benchmarks/retrieval/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.tsv"
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=hours(4),
        gpu=gpus(),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        settings=lambda wildcards: evaluation_of(wildcards.benchmark, "retrieval"),
        device=config["device"],
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 retrieval --objects {input.objects} --model {params.folder} "
        "--out {output} --device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"


rule audit:
    input:
        code=source_closure("clip2.evaluate.audit"),
        frames=train_shards("results/{source}/frames/{shard}.parquet"),
        annotations=train_shards("results/{source}/annotations/{shard}.parquet"),
        triplets=train_shards(f"{MINED}/{{shard}}.parquet"),
        points=train_shards(f"{MINED}/{{shard}}.h5"),
    output:
        f"{MINED}/audit.json",
    log:
        "logs/audit/{source}.{detector}.{lifter}.log",
    benchmark:
        "results/benchmarks/audit/{source}.{detector}.{lifter}.tsv"
    wildcard_constraints:
        source="|".join(CUT_BY_BOXES) or "(?!)",  # not where boxes are by scene
    conda:
        "../envs/clip2.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=hours(4),
        gpu=0,
    params:
        root=lambda wildcards: data_root(wildcards.source),
        settings=settings_of("evaluation", "audit"),
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 audit --frames {input.frames} --annotations {input.annotations} "
        "--triplets {input.triplets} --data-root {params.root:q} --out {output} "
        "--settings {params.settings:q} > {log} 2>&1"
