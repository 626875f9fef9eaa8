# CLIP²: from unlabelled scans to open-world 3D recognition.
#
#   snakemake --cores 8 results/nuscenes_zeroshot.json
#
# Everything lies under results/, named by what made it:
#   {source}/raw/…                                        built-in worlds only
#   {source}/frames/{shard}.parquet
#   {source}/annotations/{shard}.parquet                  human boxes: evaluation and audit only
#   {source}/detections/{detector}/{shard}.parquet
#   {source}/triplets/{detector}.{lifter}/{shard}.parquet|.h5
#   {source}/embeddings/{detector}.{lifter}.{teacher}/{shard}.h5
#   {source}/objects/{shard}.parquet|.h5                  annotated objects to recognise
#   {source}/encoded/{teacher}/{shard}.h5                 what the frozen teacher sees of them
#   towers/…                                              tuned rivals
#   models/{sources}.{detector}.{lifter}.{teacher}.{model}/…   the point encoder and its results
#   {benchmark}_{task}.json, benchmark.json, benchmark.md      copies under fixed names
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/scans.smk"
include: "rules/detect.smk"
include: "rules/lift.smk"
include: "rules/embed.smk"
include: "rules/pretrain.smk"
include: "rules/baselines.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"


onstart:
    hold_lock()
    lift_rate_limit()


rule all:
    default_target: True
    input:
        expand("results/{name}", name=DEFAULT_TARGETS),


# Single stages of the experiment's benchmark: `snakemake --cores 8 triplets`
rule detections:
    input:
        [
            path
            for source in MINED_SOURCES
            for path in expand(
                "results/{source}/detections/{detector}/{shard}.parquet",
                shard=source_shards(source, "train"),
                **dict(EXPERIMENT, source=source),
            )
        ],


rule triplets:
    input:
        [
            path
            for source in MINED_SOURCES
            for path in expand(
                f"{MINED}/{{shard}}.parquet",
                shard=source_shards(source, "train"),
                **dict(EXPERIMENT, source=source),
            )
        ],


rule model:
    input:
        f"{MODEL}/model.safetensors".format(**EXPERIMENT),
