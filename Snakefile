# CLIP²: from unlabelled scans to open-world 3D recognition.
#
#   snakemake --cores 8 results/nuscenes_zeroshot.json
#
# Everything lies under results/, named by what made it:
#   {source}/raw/…                                        the built-in world only
#   {source}/frames/{shard}.parquet
#   {source}/annotations/{shard}.parquet                  human boxes: evaluation and audit only
#   {source}/detections/{detector}/{shard}.parquet
#   {source}/triplets/{detector}.{lifter}/{shard}.parquet|.h5
#   {source}/embeddings/{detector}.{lifter}.{teacher}/{shard}.h5
#   {source}/objects/{shard}.parquet|.h5                  annotated objects to recognise
#   models/{source}.{detector}.{lifter}.{teacher}.{model}/…    the point encoder and its results
from snakemake.utils import min_version, validate

min_version("9.0")


configfile: "config.yaml"


validate(config, "schemas/config.schema.json")


include: "rules/common.smk"
include: "rules/scans.smk"
include: "rules/detect.smk"
include: "rules/lift.smk"
include: "rules/embed.smk"
include: "rules/pretrain.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"


onstart:
    hold_lock()


rule all:
    default_target: True
    input:
        expand("results/{name}", name=PUBLISHED),


# The configured experiment, one stage: `snakemake --cores 8 triplets`
rule detections:
    input:
        expand(
            "results/{source}/detections/{detector}/{shard}.parquet",
            shard=source_shards(EXPERIMENT["source"], "train"),
            **EXPERIMENT,
        ),


rule triplets:
    input:
        expand(
            "results/{source}/triplets/{detector}.{lifter}/{shard}.parquet",
            shard=source_shards(EXPERIMENT["source"], "train"),
            **EXPERIMENT,
        ),


rule model:
    input:
        experiment_path(f"{MODEL}/model.safetensors"),
