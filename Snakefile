# CLIP²: from unlabelled scans to open-world 3D recognition.
#
#   snakemake --cores 8 results/nuscenes_zeroshot.json
#
# Everything lies under results/, named by what made it:
#   {source}/raw/…                                        built-in worlds only
#   {source}/frames/{shard}.parquet
#   {source}/annotations/{shard}.parquet                  human boxes: evaluation and audit only
#   {source}/detections/{detector}/{shard}.parquet
#   {source}/masks/{detector}.{segmenter}/{shard}.parquet  only with experiment.segmenter; {lifter} is {segmenter}+{lifter} then
#   {source}/triplets/{detector}.{lifter}/{shard}.parquet|.h5
#   {source}/embeddings/{detector}.{lifter}.{teacher}/{shard}.h5
#   {source}/tracks/{detector}.{lifter}.{teacher}/{shard}.parquet|.members.parquet|.h5
#   {source}/objects/{shard}.parquet|.h5                  annotated objects to recognise
#   {source}/encoded/{teacher}/{shard}.h5                 what the frozen teacher sees of them
#   labels/labels.parquet                                 named 3D boxes that no human drew
#   search/{words}.json|.png                              mined things, best first
#   towers/…                                              tuned rivals
#   models/{sources}.{detector}.{lifter}.{teacher}.{model}/…   the point encoder and its results
#   {benchmark}_{task}.json, benchmark.json, benchmark.md      copies under fixed names
#   tables/….html                                         the same to read; `snakemake --report results/report.html`
#   labels/{format}/, triplets/{format}/                  for other tools (docs/export.md)
from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


report: "rules/report/workflow.rst"


include: "rules/common.smk"
include: "rules/scans.smk"
include: "rules/detect.smk"
include: "rules/segment.smk"
include: "rules/lift.smk"
include: "rules/embed.smk"
include: "rules/track.smk"
include: "rules/pretrain.smk"
include: "rules/label.smk"
include: "rules/baselines.smk"
include: "rules/evaluate.smk"
include: "rules/search.smk"
include: "rules/report.smk"
include: "rules/explore.smk"
include: "rules/export.smk"


onstart:
    with in_one_line():
        hold_lock(Path(".snakemake/clip2.lock"))
    remove_left_over(Path("results"))  # by jobs of runs that were killed
    # Its jobs publish only while it lives, and only what was made of the inputs that it was planned with.
    announce_run(planned, Path(".snakemake/clip2_planned.json"))
    lift_rate_limit()


rule all:
    default_target: True
    input:
        [f"results/{name}" for name in experiment.default_targets],


# Single stages of the experiment's benchmark: `snakemake --cores 8 triplets`
rule detections:
    input:
        experiment.mined(experiment.parts, DETECTIONS),


rule triplets:
    input:
        experiment.mined(experiment.parts, f"{MINED}/{{shard}}.parquet"),


rule tracks:
    input:
        experiment.mined(experiment.parts, f"{TRACKED}/{{shard}}.parquet"),


rule model:
    input:
        f"{MODEL}/model.safetensors".format(**experiment.parts),


rule explorer:
    input:
        "results/explorer/index.html",


# Snakemake compares dates; what was edited and has an older date than what was made of it is seen by its content.
for each in workflow.rules:
    each.set_params(contents=contents_of_inputs(each))
