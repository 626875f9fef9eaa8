"""Arrow schemas of the Parquet artefacts. One row is one thing; matrices are row-major fixed-size lists of float64."""

import pyarrow as pa

MATRIX4 = pa.list_(pa.float64(), 16)
BOX2D = pa.list_(pa.float32(), 4)

DEPTH = pa.struct(
    [
        pa.field("K", pa.list_(pa.float64()), nullable=False),  # nine numbers: the depth camera's intrinsics, pixels
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("metres_per_unit", pa.float64(), nullable=False),
    ]
)

CLOUD = pa.struct(
    [
        # Relative to the data root; `FILE#OFFSET+SIZE` is a range of bytes in a larger file (scans.files).
        pa.field("path", pa.string(), nullable=False),
        pa.field("format", pa.string(), nullable=False),  # a name that scans.clouds.read_cloud knows
        pa.field("T_points_from_cloud", MATRIX4, nullable=False),  # identity for the key frame's own cloud
        pa.field("time_lag_s", pa.float32(), nullable=False),  # seconds before the key frame's cloud
        pa.field("depth", DEPTH),  # of a depth image, whose cloud is in the depth camera's frame (right, down, forward)
    ]
)

LENS = pa.struct(
    [
        pa.field("K", pa.list_(pa.float64()), nullable=False),  # nine numbers: intrinsics of the picture as stored
        pa.field("distortion", pa.list_(pa.float64()), nullable=False),  # OpenCV's order
    ]
)

FRAMES = pa.schema(
    [
        ("frame_id", pa.string()),
        ("scene", pa.string()),
        ("sample", pa.string()),
        ("camera", pa.string()),
        ("timestamp_us", pa.int64()),
        ("image_path", pa.string()),  # relative to the data root; may be a range of bytes, as a cloud's path
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("K", pa.list_(pa.float64(), 9)),
        ("T_cam_from_points", MATRIX4),  # ego motion between the cloud's and the image's time included
        # Sixteen numbers: to one frame of the whole scene, z up. Null without a pose: the sample meets no other then.
        # Not of a fixed size, of which Parquet files cannot be read back with nulls.
        ("T_scene_from_points", pa.list_(pa.float64())),
        ("clouds", pa.list_(CLOUD)),
        # Of a picture stored with lens distortion, else null; K, width and height above are the undistorted picture's.
        ("lens", LENS),
    ]
)
"""One camera image of one sample, with what is needed to put points into it."""

ANNOTATIONS = pa.schema(
    [
        ("annotation_id", pa.string()),
        ("scene", pa.string()),
        ("sample", pa.string()),
        ("instance", pa.string()),
        ("category", pa.string()),  # the data set's own fine name
        ("class_name", pa.string()),  # the benchmark's class, null where the category is not in the benchmark
        ("fine_name", pa.string()),  # finer than the category where the source has it, else null
        ("T_points_from_box", MATRIX4),  # box axes: x length, y width, z height
        ("size_lwh", pa.list_(pa.float64(), 3)),  # metres, full sizes
        ("num_lidar_pts", pa.int32()),
        ("num_radar_pts", pa.int32()),
        ("visibility", pa.string()),
        ("ego_distance_m", pa.float64()),  # horizontal, as the official class ranges mean it
        ("in_bicycle_rack", pa.bool_()),
    ]
)
"""One human 3D box of one sample. Evaluation only: no mining stage takes these files as input."""

DETECTIONS = pa.schema(
    [
        ("frame_id", pa.string()),
        ("box", BOX2D),  # xyxy, pixels of the frame's image
        ("label", pa.string()),
        ("score", pa.float32()),
    ]
)
"""One box that a 2D detector found, in frame order, best score first."""

MASKS = pa.schema(
    [
        ("frame_id", pa.string()),
        ("box", BOX2D),  # of the same-numbered detection
        ("size", pa.list_(pa.int32())),  # height, width
        ("counts", pa.string()),  # COCO's compressed run lengths; null where there is no mask
        ("score", pa.float32()),  # predicted IoU, 0 to 1; null where none is known
    ]
)
"""The mask of one detection, cut to its box. Rows are those of the detections, in the same order."""

TRIPLETS = pa.schema(
    [
        ("triplet_id", pa.string()),
        ("frame_id", pa.string()),
        ("scene", pa.string()),
        ("sample", pa.string()),
        ("box", BOX2D),
        ("label", pa.string()),
        ("score", pa.float32()),
        ("n_points", pa.int32()),
        ("range_m", pa.float32()),  # median distance of the points from the camera's centre
        ("extent", pa.list_(pa.float32(), 3)),  # metres, of the points, along the axes of their frame
        ("image", pa.binary()),  # JPEG: a square window around the box
    ]
)
"""One (text, image crop, point crop). Its points are the same-numbered segment of the HDF5 file beside it."""

OBJECTS = pa.schema(
    [
        ("object_id", pa.string()),
        ("scene", pa.string()),
        ("sample", pa.string()),
        ("category", pa.string()),
        ("class_name", pa.string()),
        ("fine_name", pa.string()),
        ("n_points", pa.int32()),
        ("ego_distance_m", pa.float32()),
        ("size_lwh", pa.list_(pa.float32(), 3)),
        ("camera", pa.string()),  # the camera that sees most of it, null where none does
        ("box", BOX2D),  # the projected 3D box there, NaNs where none does
        ("image", pa.binary()),  # JPEG: the same window as a triplet's, null where no camera sees it
    ]
)
"""One annotated object to recognise: the evaluation's query. Points as for TRIPLETS."""

NAMES = pa.list_(pa.struct([pa.field("name", pa.string()), pa.field("probability", pa.float32())]))
"""Names with their probabilities, best first."""

PLACE = pa.struct(
    [
        pa.field("sample", pa.string(), nullable=False),
        pa.field("timestamp_us", pa.int64()),  # null where the source has no times
        pa.field("T_scene_from_thing", pa.list_(pa.float64()), nullable=False),  # sixteen numbers
        pa.field("n_triplets", pa.int32(), nullable=False),
        pa.field("n_points", pa.int32(), nullable=False),
    ]
)
"""Where a thing is at one sample that saw it."""

TRACKS = pa.schema(
    [
        ("track_id", pa.string()),  # the id of its first triplet: it stays when others come and go
        ("scene", pa.string()),
        ("n_triplets", pa.int32()),
        ("n_samples", pa.int32()),
        ("label", pa.string()),
        ("score", pa.float32()),  # probability of the label, 0 to 1
        ("names", NAMES),
        ("best_triplet_id", pa.string()),  # the view that says most for the label
        ("moving", pa.bool_()),
        ("velocity", pa.list_(pa.float32(), 3)),  # metres a second in the scene's frame; zeros where it does not move
        ("path", pa.list_(PLACE)),  # in time order
        ("n_points", pa.int32()),  # of the same-numbered segment of the HDF5 file
        ("extent", pa.list_(pa.float32(), 3)),  # metres, of these points, along the thing's own axes
    ]
)
"""One thing: triplets of several cameras and samples. Its points, of all of them together, are the same-numbered
segment of the HDF5 file beside it, in the thing's own frame: z up, the origin in its middle; x ahead where it moves,
else the axes of the scene's frame. Where there are no poses, a sample is a scene, and its points' frame the scene's."""

TRACK_MEMBERS = pa.schema([("track_id", pa.string()), ("triplet_id", pa.string())])
"""Which triplets a track is made of; every triplet of the shard is in one track."""

LABELS = pa.schema(
    [
        ("scene", pa.string()),
        ("sample", pa.string()),
        ("timestamp_us", pa.int64()),
        ("track_id", pa.string()),  # one thing over the samples of a scene
        ("label", pa.string()),
        ("score", pa.float32()),  # probability of the label, 0 to 1
        ("names", NAMES),
        ("T_points_from_box", MATRIX4),  # upright; box axes: x length, y width, z height
        ("size_lwh", pa.list_(pa.float64(), 3)),  # metres, full sizes
        ("size_from", pa.string()),  # "measured"; "word": a side that nothing saw is as long as in others of the name
        ("velocity", pa.list_(pa.float32())),  # (3) metres a second along the axes of the points; null where unknown
        ("n_points", pa.int32()),  # of the thing in this sample
        ("range_m", pa.float32()),  # from the points' origin to the box's centre, horizontal
        ("triplet_id", pa.string()),  # the best view of the thing in this sample, null where only other samples saw it
        ("frame_id", pa.string()),  # of that view, with
        ("box", BOX2D),  # its 2D box, pixels
    ]
)
"""One thing at one sample: a named 3D box that no human drew."""
