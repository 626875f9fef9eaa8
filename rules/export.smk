# Labels and triplets in the forms that other tools read.
rule export_labels:
    input:
        code=format_code,
        labels=LABELS,
    output:
        directory("results/labels/{format}"),
    log:
        "logs/export/{format}.log",
    benchmark:
        "results/benchmarks/export/{format}.tsv"
    wildcard_constraints:
        format=formats_of("labels"),
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=4000, hours=6),
    params:
        root=lambda wildcards: experiment.data_root(experiment.parts["source"]),
        settings=experiment.settings("export"),
    shell:
        "python -m clip2 export {wildcards.format} --labels {input.labels} --data-root {params.root:q} --out {output} "
        "--settings {params.settings:q} > {log} 2>&1"


rule export_triplets:
    input:
        code=format_code,
        triplets=files(
            lambda wildcards: experiment.mined(
                experiment.parts, f"{MINED}/{{shard}}.parquet"
            )
        ),
    output:
        directory("results/triplets/{format}"),
    log:
        "logs/export/{format}.log",
    benchmark:
        "results/benchmarks/export/{format}.tsv"
    wildcard_constraints:
        format=formats_of("triplets"),
    conda:
        "../envs/clip2.yaml"
    resources:
        **needs(mem_mb=4000, hours=6),
    shell:
        "python -m clip2 export {wildcards.format} --triplets {input.triplets} --out {output} > {log} 2>&1"
