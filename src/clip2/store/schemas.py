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
