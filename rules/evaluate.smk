# Human boxes enter here, and nowhere before.
rule objects:
    input:
        code=source_files("clip2.evaluate.objects"),
        frames=FRAMES,
        annotations=ANNOTATIONS,
    output:
        objects=f"{OBJECTS}.parquet",
        points=f"{OBJECTS}.h5",
    log:
        "logs/objects/{source}.{shard}.log",
    benchmark:
        "results/benchmarks/objects/{source}.{shard}.tsv"
    wildcard_constraints:
        source="|".join(experiment.sources_by_boxes) or "(?!)",
    priority: BEFORE_RESULTS
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=4000, hours=2),
    params:
        root=lambda wildcards: experiment.data_root(wildcards.source),
        settings=experiment.settings("evaluation", "objects"),
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 objects --frames {input.frames} --annotations {input.annotations} "
        "--data-root {params.root:q} --out {output.objects} --settings {params.settings:q} > {log} 2>&1"


# ScanNet's objects are the instances of its meshes.
rule objects_scannet:
    input:
        code=source_files("clip2.evaluate.scannet.objects"),
        frames=FRAMES,
    output:
        objects=f"{OBJECTS}.parquet",
        points=f"{OBJECTS}.h5",
    log:
        "logs/objects/{source}.{shard}.log",
    benchmark:
        "results/benchmarks/objects/{source}.{shard}.tsv"
    wildcard_constraints:
        source="|".join(experiment.sources_by_meshes) or "(?!)",
    priority: BEFORE_RESULTS
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=4000, hours=4),
    params:
        root=lambda wildcards: experiment.data_root(wildcards.source),
        beside=lambda wildcards: beside_index(wildcards.source, "objects"),
        settings=experiment.settings("evaluation", "scannet_objects"),
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 scannet-objects --frames {input.frames} "
        "--data-root {params.root:q} --out {output.objects} --settings {params.settings:q} > {log} 2>&1"


# Sets of single objects: one job reads the files and writes all shards.
for source in experiment.sources_with("object_set"):

    rule:
        name:
            f"objects_{source}"
        input:
            code=source_files(experiment.module(source, "object_set")),
            index=raw_index(source),
        output:
            experiment.all_shards(source, f"{OBJECTS}.parquet"),
            experiment.all_shards(source, f"{OBJECTS}.h5"),
        log:
            f"logs/objects/{source}.log",
        benchmark:
            f"results/benchmarks/objects/{source}.tsv"
        conda:
            "../envs/clip2.yaml"
        resources:
            **needs(mem_mb=4000, hours=1),
        params:
            kind=experiment.config.sources[source].kind,
            source=source,
            out=lambda wildcards, output: Path(output[0]).parent,
            root=lambda wildcards, source=source: experiment.data_root(source),
            settings=experiment.source_settings(source),
        shell:
            "python -m clip2 object-set {params.kind} --root {params.root:q} --source {params.source} "
            "--out {params.out} --settings {params.settings:q} > {log} 2>&1"


rule encode_objects:
    input:
        code=source_files("clip2.evaluate.encode_objects"),
        objects=f"{OBJECTS}.parquet",
        points=f"{OBJECTS}.h5",
        teacher=files(experiment.teacher_files),
        towers=[],
    output:
        ENCODED,
    log:
        "logs/encode_objects/{source}.{teacher}.{shard}.log",
    benchmark:
        "results/benchmarks/encode_objects/{source}.{teacher}.{shard}.tsv"
    priority: BEFORE_RESULTS
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        **needs(mem_mb=8000, hours=4, gpu=gpus()),
    params:
        settings=lambda wildcards: experiment.teacher_model(wildcards.teacher),
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 encode-objects --objects {input.objects} --towers {input.towers} "
        "--out {output} --device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"


use rule encode_objects as encode_objects_by_towers with:
    input:
        **ASKED,
        code=source_files("clip2.evaluate.encode_objects"),
        teacher=files(experiment.teacher_files),
        towers=files(experiment.image_tower_files),
    output:
        TOWER_ENCODED,
    log:
        "logs/encode_objects/{sources}.{detector}.{lifter}.{teacher}.{benchmark}.{shard}.log",
    benchmark:
        "results/benchmarks/encode_objects/{sources}.{detector}.{lifter}.{teacher}.{benchmark}.{shard}.tsv"


rule zeroshot:
    input:
        **ASKED,
        **OF_MODEL,
        code=source_files("clip2.evaluate.zeroshot"),
        encoded=files(experiment.encoded_files),
        towers=files(experiment.tower_files),
        ensemble=f"{MODEL}/ensemble.json",
    output:
        f"{MODEL}/{{benchmark}}_zeroshot.json",
    log:
        "logs/zeroshot/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.log",
    benchmark:
        "results/benchmarks/zeroshot/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.tsv"
    priority: BEFORE_RESULTS
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        **needs(mem_mb=8000, hours=4, gpu=gpus()),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        ensemble=lambda wildcards, input: f"--ensemble {input.ensemble}",
        settings=lambda wildcards: experiment.evaluation(
            wildcards.benchmark, "zeroshot"
        ),
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 zeroshot --objects {input.objects} --model {params.folder} "
        "--encoded {input.encoded} --towers {input.towers} {params.ensemble} "
        "--out {output} --device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"


# How far the figure moves with the seed of the training: `snakemake --cores 8 results/nuscenes_seeds.json`.
use rule zeroshot as zeroshot_alone with:
    input:
        **ASKED,
        **OF_MODEL,
        code=source_files("clip2.evaluate.zeroshot"),
        encoded=[],
        towers=[],
    output:
        f"{MODEL}/{{benchmark}}_alone.json",
    log:
        "logs/zeroshot_alone/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.log",
    benchmark:
        "results/benchmarks/zeroshot_alone/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.tsv"
    params:
        ensemble="",
        settings=lambda wildcards: experiment.evaluation(
            wildcards.benchmark, "zeroshot", methods=["clip2"]
        ),


rule seeds:
    input:
        code=source_files("clip2.evaluate.seeds"),
        results=files(experiment.seeds, f"{MODEL}/{{benchmark}}_alone.json"),
    output:
        f"{MODEL}/{{benchmark}}_seeds.json",
    log:
        "logs/seeds/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.log",
    benchmark:
        "results/benchmarks/seeds/{sources}.{detector}.{lifter}.{teacher}.{model}.{benchmark}.tsv"
    localrule: True
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=1000, minutes=10),
    params:
        seeds=list(experiment.config.evaluation.seeds),
    shell:
        "python -m clip2 seeds --results {input.results} --seeds {params.seeds} --out {output} > {log} 2>&1"


rule fewshot:
    input:
        **OF_MODEL,
        code=source_files("clip2.evaluate.fewshot.stage"),
        train=files(experiment.asked, f"{OBJECTS}.parquet", "train"),
        train_points=files(experiment.asked, f"{OBJECTS}.h5", "train"),
        val=files(experiment.asked, f"{OBJECTS}.parquet"),
        val_points=files(experiment.asked, f"{OBJECTS}.h5"),
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
        **needs(mem_mb=8000, hours=4, gpu=gpus()),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        settings=lambda wildcards: experiment.evaluation(wildcards.benchmark, "fewshot"),
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 fewshot --train {input.train} --val {input.val} "
        "--model {params.folder} --out {output} --device {params.device} --threads {threads} "
        "--settings {params.settings:q} > {log} 2>&1"


rule localization:
    input:
        **OF_MODEL,
        code=source_files("clip2.evaluate.localization.stage"),
        frames=files(experiment.asked, FRAMES),
        annotations=files(experiment.asked, ANNOTATIONS),
        triplets=files(experiment.asked, f"{MINED}/{{shard}}.parquet"),
        points=files(experiment.asked, f"{MINED}/{{shard}}.h5"),
        labels=files(experiment.measured_labels),
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
        **needs(mem_mb=8000, hours=4, gpu=gpus()),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        root=lambda wildcards: experiment.data_root(
            experiment.benchmarks[wildcards.benchmark].source
        ),
        settings=lambda wildcards: experiment.evaluation(
            wildcards.benchmark, "localization"
        ),
        labels=lambda wildcards, input: (
            f"--labels {input.labels}" if input.labels else ""
        ),
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 localization --frames {input.frames} "
        "--annotations {input.annotations} --triplets {input.triplets} {params.labels} --data-root {params.root:q} "
        "--model {params.folder} --out {output} --device {params.device} --threads {threads} "
        "--settings {params.settings:q} > {log} 2>&1"


rule retrieval:
    input:
        **ASKED,
        **OF_MODEL,
        code=source_files("clip2.evaluate.retrieval.stage"),
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
        **needs(mem_mb=8000, hours=4, gpu=gpus()),
    params:
        folder=lambda wildcards, output: Path(output[0]).parent,
        settings=lambda wildcards: experiment.evaluation(
            wildcards.benchmark, "retrieval"
        ),
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 retrieval --objects {input.objects} --model {params.folder} "
        "--out {output} --device {params.device} --threads {threads} --settings {params.settings:q} > {log} 2>&1"


rule audit:
    input:
        code=source_files("clip2.evaluate.audit"),
        frames=files(experiment.mined, FRAMES),
        annotations=files(experiment.audited, ANNOTATIONS),
        triplets=files(experiment.mined, f"{MINED}/{{shard}}.parquet"),
        points=files(experiment.mined, f"{MINED}/{{shard}}.h5"),
    output:
        f"{MINED}/audit.json",
    log:
        "logs/audit/{source}.{detector}.{lifter}.log",
    benchmark:
        "results/benchmarks/audit/{source}.{detector}.{lifter}.tsv"
    wildcard_constraints:
        source="|".join(experiment.sources_by_boxes) or "(?!)",  # not where boxes are by scene
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=4000, hours=4),
    params:
        root=lambda wildcards: experiment.data_root(wildcards.source),
        settings=experiment.settings("evaluation", "audit"),
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 audit --frames {input.frames} --annotations {input.annotations} "
        "--triplets {input.triplets} --data-root {params.root:q} --out {output} "
        "--settings {params.settings:q} > {log} 2>&1"


rule audit_tracks:
    input:
        code=source_files("clip2.evaluate.track_audit"),
        annotations=files(experiment.audited, ANNOTATIONS),
        triplets=files(experiment.mined, f"{MINED}/{{shard}}.parquet"),
        points=files(experiment.mined, f"{MINED}/{{shard}}.h5"),
        tracks=files(experiment.mined, f"{TRACKED}/{{shard}}.parquet"),
        members=files(experiment.mined, f"{TRACKED}/{{shard}}.members.parquet"),
    output:
        f"{TRACKED}/audit.json",
    log:
        "logs/audit_tracks/{source}.{detector}.{lifter}.{teacher}.log",
    benchmark:
        "results/benchmarks/audit_tracks/{source}.{detector}.{lifter}.{teacher}.tsv"
    wildcard_constraints:
        source="|".join(experiment.sources_by_boxes) or "(?!)",  # not where boxes are by scene
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=4000, hours=4),
    params:
        settings=experiment.settings("evaluation", "audit"),
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 audit-tracks --annotations {input.annotations} "
        "--triplets {input.triplets} --tracks {input.tracks} --out {output} "
        "--settings {params.settings:q} > {log} 2>&1"


# `clip2 search` by the names of rare things: `snakemake --cores 8 results/search_audit.json`.
rule audit_search:
    input:
        code=source_files("clip2.evaluate.search_audit"),
        frames=files(experiment.mined, FRAMES),
        annotations=files(experiment.audited, ANNOTATIONS),
        triplets=files(experiment.mined, f"{MINED}/{{shard}}.parquet"),
        points=files(experiment.mined, f"{MINED}/{{shard}}.h5"),
        embeddings=files(experiment.mined, f"{EMBEDDED}/{{shard}}.h5"),
        tracks=files(experiment.mined, f"{TRACKED}/{{shard}}.parquet"),
        members=files(experiment.mined, f"{TRACKED}/{{shard}}.members.parquet"),
        teacher=files(experiment.teacher_files),
    output:
        f"{TRACKED}/search_audit.json",
    log:
        "logs/audit_search/{source}.{detector}.{lifter}.{teacher}.log",
    benchmark:
        "results/benchmarks/audit_search/{source}.{detector}.{lifter}.{teacher}.tsv"
    wildcard_constraints:
        source="|".join(experiment.sources_by_boxes) or "(?!)",  # not where boxes are by scene
    conda:
        "../envs/clip2.yaml"
    threads: workers()
    resources:
        **needs(mem_mb=4000, hours=4, gpu=gpus()),
    params:
        root=lambda wildcards: experiment.data_root(wildcards.source),
        settings=experiment.settings("evaluation", "search_audit"),
        device=experiment.config.device,
    shell:
        "OMP_NUM_THREADS={threads} python -m clip2 audit-search --annotations {input.annotations} "
        "--embeddings {input.embeddings} --data-root {params.root:q} --out {output} --device {params.device} "
        "--threads {threads} --settings {params.settings:q} > {log} 2>&1"
