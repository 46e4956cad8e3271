"""Structs, enumerations and calls of the public headers for ctypes. Made by tools/python_abi.py."""

# fmt: off
import ctypes as C

from ._whole import Struct

VERSION = "0.2.0"
ABI = 2
STATUSES = (
    "OK",
    "INVALID_ARGUMENT",
    "OUT_OF_MEMORY",
    "IO",
    "FORMAT",
    "UNSUPPORTED",
    "MISMATCH",
    "NO_IMAGE",
    "NO_DEVICE",
    "INTERNAL",
    "STOPPED",
    "NUMERIC",
    "DIVERGED",
)

# samc_backend
SAMC_BACKEND_AUTO = 0
SAMC_BACKEND_REF = 1
SAMC_BACKEND_CPU = 2
SAMC_BACKEND_CUDA = 3

# samc_precision
SAMC_PRECISION_AUTO = 0
SAMC_PRECISION_F32 = 1
SAMC_PRECISION_F16 = 2
SAMC_PRECISION_BF16 = 3
SAMC_PRECISION_INT8 = 4

# samc_storage
SAMC_STORAGE_KEEP = 0
SAMC_STORAGE_F32 = 1
SAMC_STORAGE_F16 = 2
SAMC_STORAGE_BF16 = 3
SAMC_STORAGE_INT8 = 4

# constants
SAMC_SIDE_LEFT = 1
SAMC_SIDE_TOP = 2
SAMC_SIDE_RIGHT = 4
SAMC_SIDE_BOTTOM = 8
SAMC_SIDE_ALL = 15

# samc_detector_kind
SAMC_DETECTOR_BOXES = 0
SAMC_DETECTOR_MAPS = 1
SAMC_DETECTOR_LABELS = 2

# samc_sample
SAMC_SAMPLE_U8 = 0
SAMC_SAMPLE_U16 = 1
SAMC_SAMPLE_F32 = 2

# constants
SAMC_MOST_PROMPTS = 65536
SAMC_MOST_POINTS = 4096

# samc_npy_type
SAMC_NPY_F32 = 0
SAMC_NPY_BOOL = 1

# samc_embedding_format
SAMC_EMBEDDING_UNKNOWN = 0
SAMC_EMBEDDING_SAFETENSORS = 1
SAMC_EMBEDDING_NPY = 2

# samc_output
SAMC_OUTPUT_RLE = 1
SAMC_OUTPUT_PNG = 2
SAMC_OUTPUT_OVERLAY = 4
SAMC_OUTPUT_JSONL = 8
SAMC_OUTPUT_COCO = 16
SAMC_OUTPUT_CUTOUT = 32
SAMC_OUTPUT_NPY = 64
SAMC_OUTPUT_SA1B = 128
SAMC_OUTPUT_WEBDATASET = 256
SAMC_OUTPUT_GPKG = 512
SAMC_OUTPUT_GEOJSON = 1024
SAMC_OUTPUT_COG = 2048

# constants
SAMC_OUTPUT_ARCHIVE = 415

# samc_shard_by
SAMC_SHARD_BY_AUTO = 0
SAMC_SHARD_BY_IMAGE = 1
SAMC_SHARD_BY_INPUT = 2

# samc_video_layout
SAMC_VIDEO_RGB24 = 0
SAMC_VIDEO_420 = 1
SAMC_VIDEO_422 = 2
SAMC_VIDEO_444 = 3
SAMC_VIDEO_MONO = 4

# samc_geo_format
SAMC_GEO_GPKG = 0
SAMC_GEO_GEOJSON = 1
SAMC_GEO_COG = 2

# constants
SAMC_OUTPUT_SCENE = 3612

# samc_tiles_phase
SAMC_TILES_TILES = 0
SAMC_TILES_REFINING = 1
SAMC_TILES_WRITING = 2


class samc_error(Struct):
    _fields_ = [
        ("status", C.c_int),
        ("message", C.c_char * 1024),
    ]


class samc_options(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("backend", C.c_int),
        ("precision", C.c_int),
        ("threads", C.c_int),
        ("device", C.c_int),
        ("cudnn", C.c_bool),
        ("settings", C.POINTER(C.c_char_p)),
        ("recipe", C.c_char_p),
        ("image_size", C.c_int),
    ]


class samc_model_info(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("image_size", C.c_int),
        ("patch_size", C.c_int),
        ("grid", C.c_int),
        ("encoder_dim", C.c_int),
        ("encoder_depth", C.c_int),
        ("encoder_heads", C.c_int),
        ("encoder_mlp_dim", C.c_int),
        ("window_size", C.c_int),
        ("global_blocks", C.c_int),
        ("embed_channels", C.c_int),
        ("decoder_depth", C.c_int),
        ("decoder_heads", C.c_int),
        ("multimask_outputs", C.c_int),
        ("low_res", C.c_int),
        ("mask_threshold", C.c_float),
        ("parameters", C.c_int64),
        ("file_bytes", C.c_size_t),
        ("name", C.c_char_p),
        ("licence", C.c_char_p),
        ("card", C.c_char_p),
        ("dtype", C.c_char_p),
        ("backend", C.c_int),
        ("precision", C.c_int),
        ("backend_note", C.c_char_p),
        ("file_note", C.c_char_p),
        ("threads", C.c_int),
        ("weight_bytes", C.c_size_t),
        ("encode_flops", C.c_double),
        ("encode_bytes", C.c_size_t),
        ("predict_bytes", C.c_size_t),
        ("device_bytes", C.c_size_t),
        ("settings", C.c_char_p),
        ("changed", C.c_char_p),
        ("arithmetic", C.c_char_p),
        ("recipe", C.c_char_p),
        ("recipe_from", C.c_char_p),
        ("recipe_fields", C.c_char_p),
        ("boxes_only", C.c_bool),
        ("family", C.c_char_p),
        ("squash", C.c_bool),
        ("encoder_fields", C.c_char_p),
    ]


class samc_convert_options(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("storage", C.c_int),
        ("recipe", C.c_char_p),
        ("image_size", C.c_int),
    ]


class samc_memory(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("current", C.c_size_t),
        ("peak", C.c_size_t),
        ("device_current", C.c_size_t),
        ("device_peak", C.c_size_t),
    ]


class samc_profile_row(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("name", C.c_char_p),
        ("calls", C.c_int64),
        ("seconds", C.c_double),
        ("flops", C.c_double),
        ("precision", C.c_int),
    ]


class samc_image(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("pixels", C.c_void_p),
        ("width", C.c_int),
        ("height", C.c_int),
        ("row_bytes", C.c_ssize_t),
    ]


class samc_prompt(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("points", C.c_void_p),
        ("labels", C.c_void_p),
        ("point_count", C.c_int),
        ("box", C.c_void_p),
        ("mask_input", C.c_void_p),
        ("image", C.c_int),
    ]


class samc_mask(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("image", C.c_int),
        ("prompt", C.c_int),
        ("index", C.c_int),
        ("predicted_iou", C.c_float),
        ("stability_score", C.c_float),
        ("object_score", C.c_float),
        ("label", C.c_char_p),
        ("area", C.c_int64),
        ("bbox", C.c_int * 4),
        ("crop_box", C.c_int * 4),
        ("point", C.c_double * 2),
        ("width", C.c_int),
        ("height", C.c_int),
        ("runs", C.c_void_p),
        ("runs_at", C.c_int64),
        ("rle_length", C.c_size_t),
        ("count_length", C.c_size_t),
        ("phrase", C.c_int),
        ("score", C.c_float),
        ("box", C.c_float * 4),
    ]


class samc_point_grid(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("xy", C.c_void_p),
        ("count", C.c_int),
    ]


class samc_auto_options(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("points_per_side", C.c_int),
        ("points_per_batch", C.c_int),
        ("pred_iou_thresh", C.c_double),
        ("stability_score_thresh", C.c_double),
        ("stability_score_offset", C.c_double),
        ("box_nms_thresh", C.c_double),
        ("crop_n_layers", C.c_int),
        ("crop_nms_thresh", C.c_double),
        ("crop_overlap_ratio", C.c_double),
        ("crop_n_points_downscale_factor", C.c_int),
        ("point_grids", C.POINTER(samc_point_grid)),
        ("min_mask_region_area", C.c_int),
        ("temporary_folder", C.c_char_p),
        ("progress", C.CFUNCTYPE(C.c_int, C.c_void_p, C.c_int, C.c_int64, C.c_int64)),
        ("progress_context", C.c_void_p),
        ("multimask_output", C.c_bool),
        ("use_m2m", C.c_bool),
        ("cut_sides", C.c_uint),
    ]


class samc_auto_stats(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("crops", C.c_int64),
        ("prompts", C.c_int64),
        ("masks", C.c_int64),
        ("after_iou", C.c_int64),
        ("after_stability", C.c_int64),
        ("after_edge", C.c_int64),
        ("after_nms", C.c_int64),
        ("kept", C.c_int64),
        ("encode_seconds", C.c_double),
        ("decode_seconds", C.c_double),
        ("post_seconds", C.c_double),
    ]


class samc_machine(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("processors", C.c_int),
        ("cpu", C.c_char * 256),
        ("cuda", C.c_char * 256),
        ("has_cuda", C.c_bool),
        ("cuda_driver", C.c_bool),
        ("cuda_built", C.c_bool),
        ("cuda_devices", C.c_int),
        ("bf16", C.c_char_p),
        ("int8", C.c_char_p),
    ]


class samc_peaks(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("f32", C.c_double),
        ("bf16", C.c_double),
        ("int8", C.c_double),
        ("f32_by", C.c_char_p),
        ("bf16_by", C.c_char_p),
        ("int8_by", C.c_char_p),
    ]


class samc_detector_info(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("kind", C.c_int),
        ("labels", C.c_bool),
        ("image_size", C.c_int),
        ("map_side", C.c_int),
        ("context", C.c_int),
        ("parameters", C.c_int64),
        ("weight_bytes", C.c_size_t),
        ("backend", C.c_int),
        ("threads", C.c_int),
        ("name", C.c_char_p),
        ("dtype", C.c_char_p),
        ("backend_note", C.c_char_p),
        ("file_note", C.c_char_p),
    ]


class samc_phrase_options(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("templates", C.POINTER(C.c_char_p)),
        ("background", C.c_char_p),
    ]


class samc_text_options(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("threshold", C.c_double),
        ("nms", C.c_double),
        ("top", C.c_int),
        ("boxes_only", C.c_bool),
        ("progress", C.CFUNCTYPE(C.c_int, C.c_void_p, C.c_int, C.c_int64, C.c_int64)),
        ("progress_context", C.c_void_p),
    ]


class samc_detection(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("phrase", C.c_int),
        ("score", C.c_float),
        ("box", C.c_float * 4),
        ("point", C.c_float * 2),
    ]


class samc_scale(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("name", C.c_char_p),
        ("low", C.c_double),
        ("high", C.c_double),
        ("sample", C.c_int),
    ]


class samc_samples(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("values", C.c_void_p),
        ("width", C.c_int),
        ("height", C.c_int),
        ("channels", C.c_int),
        ("row_bytes", C.c_ssize_t),
        ("sample", C.c_int),
        ("bits", C.c_int),
    ]


class samc_image_options(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("most_pixels", C.c_int64),
        ("scale", C.c_char_p),
        ("page", C.c_int),
    ]


class samc_image_header(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("width", C.c_int64),
        ("height", C.c_int64),
        ("peak_bytes", C.c_int64),
        ("format", C.c_char_p),
        ("pages", C.c_int),
    ]


class samc_rle(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("width", C.c_int),
        ("height", C.c_int),
        ("count", C.c_size_t),
        ("counts", C.c_void_p),
    ]


class samc_array(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("rank", C.c_int),
        ("shape", C.c_size_t * 4),
        ("values", C.c_void_p),
    ]


class samc_masks(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("source", C.c_char_p),
        ("name", C.c_char_p),
        ("width", C.c_int),
        ("height", C.c_int),
        ("image", C.POINTER(samc_image)),
        ("masks", C.POINTER(samc_mask)),
        ("count", C.c_int),
        ("phrases", C.c_void_p),
        ("scale", C.POINTER(samc_scale)),
    ]


class samc_archive_options(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("inputs", C.POINTER(C.c_char_p)),
        ("input_count", C.c_int),
        ("globs", C.POINTER(C.c_char_p)),
        ("glob_count", C.c_int),
        ("flat", C.c_char_p),
        ("output", C.c_char_p),
        ("formats", C.c_uint),
        ("shard", C.c_int),
        ("shards", C.c_int),
        ("lines_per_file", C.c_int64),
        ("max_pixels", C.c_int64),
        ("memory", C.c_int64),
        ("batch_images", C.c_int),
        ("load_threads", C.c_int),
        ("write_threads", C.c_int),
        ("queue", C.c_int),
        ("resume", C.c_bool),
        ("retry_failed", C.c_bool),
        ("no_sync", C.c_bool),
        ("stats", C.c_char_p),
        ("shard_by", C.c_int),
        ("copy_images", C.c_bool),
        ("label_maps", C.c_bool),
        ("scale", C.c_char_p),
        ("page", C.c_int),
    ]


class samc_archive_text(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("phrases", C.c_void_p),
        ("options", C.POINTER(samc_text_options)),
        ("labels", C.c_void_p),
    ]


class samc_archive_image(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("source", C.c_char_p),
        ("name", C.c_char_p),
        ("error", C.c_char_p),
        ("width", C.c_int),
        ("height", C.c_int),
        ("masks", C.c_int),
    ]


class samc_archive_events(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("context", C.c_void_p),
        ("image", C.CFUNCTYPE(C.c_int, C.c_void_p, C.POINTER(samc_archive_image), C.POINTER(samc_error))),
        ("tick", C.CFUNCTYPE(None, C.c_void_p)),
        ("wake", C.c_int),
    ]


class samc_archive_counts(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("inputs", C.c_int64),
        ("skipped", C.c_int64),
        ("images", C.c_int64),
        ("total", C.c_int64),
        ("done", C.c_int64),
        ("before", C.c_int64),
        ("failures", C.c_int64),
        ("masks", C.c_int64),
        ("seconds", C.c_double),
        ("by_input", C.c_bool),
    ]


class samc_archive_stage(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("name", C.c_char_p),
        ("threads", C.c_int),
        ("seconds", C.c_double),
        ("waiting", C.c_double),
        ("room", C.c_int),
    ]


class samc_stream_options(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("prompts", C.c_void_p),
        ("automatic", C.POINTER(samc_auto_options)),
        ("single", C.c_bool),
        ("every", C.c_bool),
        ("room", C.c_int),
        ("clock", C.CFUNCTYPE(C.c_double, C.c_void_p)),
        ("clock_context", C.c_void_p),
    ]


class samc_stream_frame(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("number", C.c_int64),
        ("image", C.POINTER(samc_image)),
        ("masks", C.POINTER(samc_mask)),
        ("count", C.c_int),
        ("latency", C.c_double),
    ]


class samc_stream_counts(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("pushed", C.c_int64),
        ("done", C.c_int64),
        ("dropped", C.c_int64),
        ("failed", C.c_int64),
        ("seconds", C.c_double),
        ("p50", C.c_double),
        ("p95", C.c_double),
        ("p99", C.c_double),
    ]


class samc_video_format(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("width", C.c_int),
        ("height", C.c_int),
        ("rate", C.c_int),
        ("rate_scale", C.c_int),
        ("layout", C.c_int),
        ("matrix", C.c_int),
        ("full_range", C.c_bool),
    ]


class samc_geo_options(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("bands", C.c_char_p),
        ("scale", C.c_char_p),
    ]


class samc_geo_info(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("width", C.c_int64),
        ("height", C.c_int64),
        ("bands", C.c_int),
        ("used", C.c_int * 3),
        ("used_count", C.c_int),
        ("overviews", C.c_int),
        ("placed", C.c_bool),
        ("north_up", C.c_bool),
        ("masked", C.c_bool),
        ("degrees", C.c_bool),
        ("transform", C.c_double * 6),
        ("driver", C.c_char * 32),
        ("crs", C.c_char * 160),
    ]


class samc_geo_mask(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("id", C.c_int64),
        ("x", C.c_int64),
        ("y", C.c_int64),
        ("width", C.c_int64),
        ("height", C.c_int64),
        ("counts", C.c_void_p),
        ("count", C.c_size_t),
        ("level", C.c_int),
        ("predicted_iou", C.c_float),
        ("stability_score", C.c_float),
        ("label", C.c_char_p),
        ("score", C.c_float),
    ]


class samc_geo_writer_options(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("simplify", C.c_double),
        ("labels", C.c_bool),
        ("scratch", C.c_char_p),
    ]


class samc_tiles_options(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("input", C.c_char_p),
        ("output", C.c_char_p),
        ("formats", C.c_uint),
        ("tile", C.c_int),
        ("halo", C.c_int),
        ("levels", C.c_int),
        ("origin_x", C.c_int64),
        ("origin_y", C.c_int64),
        ("stitch", C.c_bool),
        ("shard", C.c_int),
        ("shards", C.c_int),
        ("resume", C.c_bool),
        ("no_sync", C.c_bool),
        ("batch", C.c_int),
        ("scale", C.c_char_p),
        ("page", C.c_int),
        ("bands", C.c_char_p),
        ("simplify", C.c_double),
        ("most_pixels", C.c_int64),
    ]


class samc_tiles_counts(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("width", C.c_int64),
        ("height", C.c_int64),
        ("levels", C.c_int),
        ("tiles", C.c_int64),
        ("phase", C.c_int),
        ("total", C.c_int64),
        ("done", C.c_int64),
        ("before", C.c_int64),
        ("masks", C.c_int64),
        ("kept", C.c_int64),
        ("bad", C.c_int64),
        ("first_bad", C.c_char_p),
        ("waiting", C.c_int),
        ("seconds", C.c_double),
    ]


class samc_tiles_events(Struct):
    _fields_ = [
        ("size", C.c_size_t),
        ("context", C.c_void_p),
        ("tick", C.CFUNCTYPE(None, C.c_void_p)),
    ]


samc_auto_callback = C.CFUNCTYPE(
    C.c_int, C.c_void_p, C.c_int, C.POINTER(samc_mask), C.c_int, C.POINTER(samc_auto_stats)
)


STRUCTS = (
    samc_error,
    samc_options,
    samc_model_info,
    samc_convert_options,
    samc_memory,
    samc_profile_row,
    samc_image,
    samc_prompt,
    samc_mask,
    samc_point_grid,
    samc_auto_options,
    samc_auto_stats,
    samc_machine,
    samc_peaks,
    samc_detector_info,
    samc_phrase_options,
    samc_text_options,
    samc_detection,
    samc_scale,
    samc_samples,
    samc_image_options,
    samc_image_header,
    samc_rle,
    samc_array,
    samc_masks,
    samc_archive_options,
    samc_archive_text,
    samc_archive_image,
    samc_archive_events,
    samc_archive_counts,
    samc_archive_stage,
    samc_stream_options,
    samc_stream_frame,
    samc_stream_counts,
    samc_video_format,
    samc_geo_options,
    samc_geo_info,
    samc_geo_mask,
    samc_geo_writer_options,
    samc_tiles_options,
    samc_tiles_counts,
    samc_tiles_events,
)

# library: {call: (result, (arguments))}
CALLS = {
    "samc": {
        "samc_status_text": (C.c_char_p, (C.c_int,)),
        "samc_version": (C.c_char_p, ()),
        "samc_abi": (C.c_int, ()),
        "samc_default_options": (C.c_int, (C.POINTER(samc_options),)),
        "samc_model_open": (
            C.c_int,
            (
                C.c_char_p,
                C.POINTER(samc_options),
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_model_close": (None, (C.c_void_p,)),
        "samc_model_get_info": (C.c_int, (C.c_void_p, C.POINTER(samc_model_info))),
        "samc_model_hash": (C.c_int, (C.c_void_p, C.c_char_p, C.POINTER(samc_error))),
        "samc_convert": (C.c_int, (C.c_char_p, C.c_char_p, C.c_int, C.POINTER(samc_error))),
        "samc_convert_with": (
            C.c_int,
            (
                C.c_char_p,
                C.c_char_p,
                C.POINTER(samc_convert_options),
                C.POINTER(samc_error),
            ),
        ),
        "samc_session_create": (C.c_int, (C.c_void_p, C.POINTER(C.c_void_p), C.POINTER(samc_error))),
        "samc_session_destroy": (None, (C.c_void_p,)),
        "samc_last_error": (C.c_char_p, (C.c_void_p,)),
        "samc_session_stop": (None, (C.c_void_p,)),
        "samc_session_trim": (None, (C.c_void_p,)),
        "samc_session_memory": (C.c_int, (C.c_void_p, C.POINTER(samc_memory))),
        "samc_session_note": (C.c_char_p, (C.c_void_p,)),
        "samc_profile_begin": (C.c_int, (C.c_void_p,)),
        "samc_profile_end": (C.c_int, (C.c_void_p, C.POINTER(samc_profile_row), C.c_int, C.POINTER(C.c_int))),
        "samc_set_image": (C.c_int, (C.c_void_p, C.POINTER(samc_image))),
        "samc_set_images": (C.c_int, (C.c_void_p, C.POINTER(samc_image), C.c_int)),
        "samc_get_embedding": (C.c_int, (C.c_void_p, C.c_int, C.c_void_p)),
        "samc_set_embedding": (C.c_int, (C.c_void_p, C.c_void_p, C.c_int, C.c_int)),
        "samc_model_level": (
            C.c_int,
            (
                C.c_void_p,
                C.c_int,
                C.POINTER(C.c_char_p),
                C.POINTER(C.c_int),
                C.POINTER(C.c_int),
            ),
        ),
        "samc_get_level": (C.c_int, (C.c_void_p, C.c_int, C.c_int, C.c_void_p)),
        "samc_set_levels": (C.c_int, (C.c_void_p, C.POINTER(C.c_void_p), C.c_int, C.c_int, C.c_int)),
        "samc_save_embedding": (C.c_int, (C.c_void_p, C.c_int, C.c_char_p)),
        "samc_load_embedding": (C.c_int, (C.c_void_p, C.c_char_p)),
        "samc_save_embedding_as": (C.c_int, (C.c_void_p, C.c_int, C.c_int, C.c_char_p)),
        "samc_pack_embedding": (C.c_int, (C.c_void_p, C.c_int, C.c_int, C.POINTER(C.c_void_p), C.POINTER(C.c_size_t))),
        "samc_unpack_embedding": (C.c_int, (C.c_void_p, C.c_void_p, C.c_size_t)),
        "samc_session_image_size": (C.c_int, (C.c_void_p, C.c_int, C.POINTER(C.c_int), C.POINTER(C.c_int))),
        "samc_embedding_of": (C.c_int, (C.c_void_p, C.c_int, C.POINTER(C.c_void_p))),
        "samc_embedding_keep": (C.c_void_p, (C.c_void_p,)),
        "samc_embedding_release": (None, (C.c_void_p,)),
        "samc_embedding_bytes": (C.c_size_t, (C.c_void_p,)),
        "samc_embedding_set": (C.c_int, (C.c_void_p, C.c_void_p)),
        "samc_calibration_create": (
            C.c_int,
            (
                C.c_char_p,
                C.POINTER(samc_options),
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_calibration_add": (C.c_int, (C.c_void_p, C.POINTER(samc_image), C.POINTER(samc_error))),
        "samc_calibration_convert": (C.c_int, (C.c_void_p, C.c_char_p, C.POINTER(samc_error))),
        "samc_calibration_destroy": (None, (C.c_void_p,)),
        "samc_predict": (C.c_int, (C.c_void_p, C.POINTER(samc_prompt), C.c_int, C.c_bool, C.POINTER(C.c_void_p))),
        "samc_predict_on": (
            C.c_int,
            (
                C.c_void_p,
                C.POINTER(C.c_void_p),
                C.c_int,
                C.POINTER(samc_prompt),
                C.c_int,
                C.c_bool,
                C.POINTER(C.c_void_p),
            ),
        ),
        "samc_result_free": (None, (C.c_void_p,)),
        "samc_result_prompts": (C.c_int, (C.c_void_p,)),
        "samc_result_masks": (C.c_int, (C.c_void_p,)),
        "samc_result_logits": (C.c_void_p, (C.c_void_p,)),
        "samc_result_iou": (C.c_void_p, (C.c_void_p,)),
        "samc_result_best": (C.c_int, (C.c_void_p, C.c_int)),
        "samc_result_mask": (C.c_int, (C.c_void_p, C.c_void_p, C.c_int, C.c_int, C.POINTER(samc_mask))),
        "samc_mask_bytes": (C.c_int, (C.POINTER(samc_mask), C.c_void_p, C.POINTER(samc_error))),
        "samc_mask_rle": (C.c_int, (C.POINTER(samc_mask), C.c_char_p, C.POINTER(samc_error))),
        "samc_mask_counts": (C.c_int, (C.POINTER(samc_mask), C.c_void_p, C.POINTER(samc_error))),
        "samc_runs_keep": (C.c_void_p, (C.c_void_p,)),
        "samc_runs_release": (None, (C.c_void_p,)),
        "samc_default_auto_options": (C.c_int, (C.c_void_p, C.POINTER(samc_auto_options))),
        "samc_auto_check": (C.c_int, (C.POINTER(samc_auto_options), C.POINTER(samc_error))),
        "samc_auto": (
            C.c_int,
            (
                C.c_void_p,
                C.POINTER(samc_image),
                C.c_int,
                C.POINTER(samc_auto_options),
                samc_auto_callback,
                C.c_void_p,
            ),
        ),
        "samc_get_machine": (C.c_int, (C.POINTER(samc_machine),)),
        "samc_get_cuda_libraries": (None, (C.c_char_p, C.c_char_p, C.c_size_t)),
        "samc_measure_peak": (C.c_double, (C.c_int,)),
        "samc_measure_peaks": (C.c_int, (C.c_int, C.POINTER(samc_peaks))),
        "samc_detector_open": (
            C.c_int,
            (
                C.c_char_p,
                C.POINTER(samc_options),
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_detector_close": (None, (C.c_void_p,)),
        "samc_detector_get_info": (C.c_int, (C.c_void_p, C.POINTER(samc_detector_info))),
        "samc_detector_hash": (C.c_int, (C.c_void_p, C.c_char_p, C.POINTER(samc_error))),
        "samc_default_label_options": (C.c_int, (C.POINTER(samc_phrase_options),)),
        "samc_phrases_create": (
            C.c_int,
            (
                C.c_void_p,
                C.POINTER(C.c_char_p),
                C.c_int,
                C.POINTER(samc_phrase_options),
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_phrases_pick": (
            C.c_int,
            (
                C.POINTER(C.c_void_p),
                C.POINTER(C.c_int),
                C.c_int,
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_phrases_free": (None, (C.c_void_p,)),
        "samc_phrases_count": (C.c_int, (C.c_void_p,)),
        "samc_phrases_text": (C.c_char_p, (C.c_void_p, C.c_int)),
        "samc_phrases_cut": (C.c_bool, (C.c_void_p, C.c_int)),
        "samc_phrases_detector": (C.c_void_p, (C.c_void_p,)),
        "samc_default_text_options": (C.c_int, (C.POINTER(samc_text_options),)),
        "samc_scene_create": (
            C.c_int,
            (
                C.c_void_p,
                C.POINTER(samc_image),
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_scene_free": (None, (C.c_void_p,)),
        "samc_scene_bytes": (C.c_size_t, (C.c_void_p,)),
        "samc_scene_map": (C.c_int, (C.c_void_p, C.c_void_p, C.c_int, C.c_void_p, C.POINTER(samc_error))),
        "samc_scene_detect": (
            C.c_int,
            (
                C.c_void_p,
                C.c_void_p,
                C.POINTER(samc_text_options),
                C.POINTER(samc_detection),
                C.c_int,
                C.POINTER(C.c_int),
                C.POINTER(samc_error),
            ),
        ),
        "samc_text": (
            C.c_int,
            (
                C.c_void_p,
                C.c_void_p,
                C.POINTER(samc_image),
                C.c_int,
                C.POINTER(samc_text_options),
                samc_auto_callback,
                C.c_void_p,
                C.POINTER(samc_error),
            ),
        ),
        "samc_text_on": (
            C.c_int,
            (
                C.c_void_p,
                C.c_void_p,
                C.c_void_p,
                C.c_void_p,
                C.POINTER(samc_text_options),
                samc_auto_callback,
                C.c_void_p,
                C.POINTER(samc_error),
            ),
        ),
        "samc_label_masks": (
            C.c_int,
            (
                C.c_void_p,
                C.POINTER(samc_image),
                C.POINTER(samc_mask),
                C.c_int,
                C.POINTER(samc_error),
            ),
        ),
    },
    "io": {
        "samc_io_free": (None, (C.c_void_p,)),
        "samc_image_load": (C.c_int, (C.c_char_p, C.c_int64, C.POINTER(samc_image), C.POINTER(samc_error))),
        "samc_image_read": (C.c_int, (C.c_int, C.c_char_p, C.c_int64, C.POINTER(samc_image), C.POINTER(samc_error))),
        "samc_image_decode": (
            C.c_int,
            (
                C.c_void_p,
                C.c_size_t,
                C.c_char_p,
                C.c_int64,
                C.POINTER(samc_image),
                C.POINTER(samc_error),
            ),
        ),
        "samc_image_free": (None, (C.POINTER(samc_image),)),
        "samc_image_prepare": (None, ()),
        "samc_scale_check": (C.c_int, (C.c_char_p, C.POINTER(samc_error))),
        "samc_scale_json": (C.c_int, (C.POINTER(samc_scale), C.c_char_p, C.POINTER(samc_error))),
        "samc_samples_scale": (
            C.c_int,
            (
                C.POINTER(samc_samples),
                C.c_char_p,
                C.c_void_p,
                C.POINTER(samc_scale),
                C.POINTER(samc_error),
            ),
        ),
        "samc_image_load_with": (
            C.c_int,
            (
                C.c_char_p,
                C.POINTER(samc_image_options),
                C.POINTER(samc_image),
                C.POINTER(samc_scale),
                C.POINTER(samc_error),
            ),
        ),
        "samc_image_read_with": (
            C.c_int,
            (
                C.c_int,
                C.c_char_p,
                C.POINTER(samc_image_options),
                C.POINTER(samc_image),
                C.POINTER(samc_scale),
                C.POINTER(samc_error),
            ),
        ),
        "samc_image_decode_with": (
            C.c_int,
            (
                C.c_void_p,
                C.c_size_t,
                C.c_char_p,
                C.POINTER(samc_image_options),
                C.POINTER(samc_image),
                C.POINTER(samc_scale),
                C.POINTER(samc_error),
            ),
        ),
        "samc_image_read_header": (
            C.c_int,
            (
                C.c_void_p,
                C.c_size_t,
                C.c_char_p,
                C.POINTER(samc_image_header),
                C.POINTER(samc_error),
            ),
        ),
        "samc_image_format": (C.c_char_p, (C.c_int,)),
        "samc_image_decoder": (C.c_char_p, (C.c_int,)),
        "samc_rle_from_bytes": (C.c_int, (C.c_void_p, C.c_int, C.c_int, C.POINTER(samc_rle), C.POINTER(samc_error))),
        "samc_rle_from_bits": (C.c_int, (C.c_void_p, C.c_int, C.c_int, C.POINTER(samc_rle), C.POINTER(samc_error))),
        "samc_rle_from_string": (C.c_int, (C.c_char_p, C.c_int, C.c_int, C.POINTER(samc_rle), C.POINTER(samc_error))),
        "samc_rle_to_bytes": (C.c_int, (C.POINTER(samc_rle), C.c_void_p, C.POINTER(samc_error))),
        "samc_rle_to_bits": (C.c_int, (C.POINTER(samc_rle), C.c_void_p, C.POINTER(samc_error))),
        "samc_rle_to_string": (C.c_int, (C.POINTER(samc_rle), C.POINTER(C.c_void_p), C.POINTER(samc_error))),
        "samc_rle_measure": (
            C.c_int,
            (
                C.POINTER(samc_rle),
                C.POINTER(C.c_int64),
                C.POINTER(C.c_int),
                C.POINTER(samc_error),
            ),
        ),
        "samc_rle_free": (None, (C.POINTER(samc_rle),)),
        "samc_prompts_create": (C.c_int, (C.POINTER(C.c_void_p), C.POINTER(samc_error))),
        "samc_prompts_read": (C.c_int, (C.c_char_p, C.POINTER(C.c_void_p), C.POINTER(samc_error))),
        "samc_prompts_parse": (
            C.c_int,
            (
                C.c_void_p,
                C.c_size_t,
                C.c_char_p,
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_prompts_free": (None, (C.c_void_p,)),
        "samc_prompts_add": (C.c_int, (C.c_void_p, C.POINTER(samc_prompt), C.POINTER(samc_error))),
        "samc_prompts_set_mask": (C.c_int, (C.c_void_p, C.c_int, C.c_void_p, C.POINTER(samc_error))),
        "samc_prompts_count": (C.c_int, (C.c_void_p,)),
        "samc_prompts_at": (C.POINTER(samc_prompt), (C.c_void_p, C.c_int)),
        "samc_prompts_check": (C.c_int, (C.c_void_p, C.c_char_p, C.c_int, C.c_int, C.POINTER(samc_error))),
        "samc_parse_point": (C.c_int, (C.c_char_p, C.c_void_p, C.c_void_p, C.POINTER(samc_error))),
        "samc_parse_box": (C.c_int, (C.c_char_p, C.c_void_p, C.POINTER(samc_error))),
        "samc_writer_open": (C.c_int, (C.c_char_p, C.POINTER(C.c_void_p), C.POINTER(samc_error))),
        "samc_writer_append": (C.c_int, (C.c_void_p, C.c_void_p, C.c_size_t, C.POINTER(samc_error))),
        "samc_writer_commit": (C.c_int, (C.c_void_p, C.POINTER(samc_error))),
        "samc_writer_abandon": (None, (C.c_void_p,)),
        "samc_writer_sync": (C.c_int, (C.c_void_p, C.POINTER(samc_error))),
        "samc_folder_create": (C.c_int, (C.c_char_p, C.POINTER(samc_error))),
        "samc_folder_list": (
            C.c_int,
            (
                C.c_char_p,
                C.POINTER(C.c_void_p),
                C.POINTER(C.c_size_t),
                C.POINTER(samc_error),
            ),
        ),
        "samc_text_utf8": (C.c_void_p, (C.c_char_p,)),
        "samc_png_write": (C.c_int, (C.c_char_p, C.c_void_p, C.c_int, C.c_int, C.c_int, C.POINTER(samc_error))),
        "samc_png_encode": (
            C.c_int,
            (
                C.c_void_p,
                C.c_int,
                C.c_int,
                C.c_int,
                C.POINTER(C.c_void_p),
                C.POINTER(C.c_size_t),
                C.POINTER(samc_error),
            ),
        ),
        "samc_npy_read": (C.c_int, (C.c_char_p, C.POINTER(samc_array), C.POINTER(samc_error))),
        "samc_npy_decode": (
            C.c_int,
            (
                C.c_void_p,
                C.c_size_t,
                C.c_char_p,
                C.POINTER(samc_array),
                C.POINTER(samc_error),
            ),
        ),
        "samc_array_free": (None, (C.POINTER(samc_array),)),
        "samc_npy_write": (
            C.c_int,
            (
                C.c_char_p,
                C.c_int,
                C.c_int,
                C.POINTER(C.c_size_t),
                C.c_void_p,
                C.POINTER(samc_error),
            ),
        ),
        "samc_npy_begin": (
            C.c_int,
            (
                C.c_char_p,
                C.c_int,
                C.c_int,
                C.POINTER(C.c_size_t),
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_session_check": (C.c_int, (C.c_void_p, C.c_int, C.c_char_p, C.POINTER(samc_error))),
        "samc_embedding_format_of": (C.c_int, (C.c_char_p,)),
        "samc_embedding_save": (C.c_int, (C.c_void_p, C.c_void_p, C.c_char_p, C.POINTER(samc_error))),
        "samc_embedding_save_as": (C.c_int, (C.c_void_p, C.c_void_p, C.c_char_p, C.c_int, C.POINTER(samc_error))),
        "samc_embedding_load": (
            C.c_int,
            (
                C.c_void_p,
                C.c_void_p,
                C.c_char_p,
                C.c_char_p,
                C.c_int,
                C.c_int,
                C.POINTER(samc_error),
            ),
        ),
        "samc_outputs_parse": (C.c_uint, (C.c_char_p, C.c_uint)),
        "samc_masks_write": (C.c_int, (C.POINTER(samc_masks), C.c_int, C.c_int, C.c_char_p, C.POINTER(samc_error))),
        "samc_masks_text": (
            C.c_int,
            (
                C.POINTER(samc_masks),
                C.c_int,
                C.c_int,
                C.POINTER(C.c_void_p),
                C.POINTER(C.c_size_t),
                C.POINTER(samc_error),
            ),
        ),
        "samc_masks_draw": (C.c_int, (C.POINTER(samc_masks), C.c_void_p, C.POINTER(samc_error))),
        "samc_mask_write": (
            C.c_int,
            (
                C.POINTER(samc_mask),
                C.c_int,
                C.POINTER(samc_image),
                C.POINTER(samc_prompt),
                C.c_int,
                C.c_char_p,
                C.POINTER(samc_error),
            ),
        ),
        "samc_auto_option": (C.c_char_p, (C.c_int,)),
        "samc_auto_set": (C.c_int, (C.POINTER(samc_auto_options), C.c_char_p, C.c_char_p, C.POINTER(samc_error))),
        "samc_archive_is": (C.c_bool, (C.c_char_p,)),
        "samc_archive_default_options": (C.c_int, (C.POINTER(samc_archive_options), C.POINTER(samc_error))),
        "samc_archive_open": (C.c_int, (C.POINTER(samc_archive_options), C.POINTER(C.c_void_p), C.POINTER(samc_error))),
        "samc_archive_set_text": (C.c_int, (C.c_void_p, C.POINTER(samc_archive_text), C.POINTER(samc_error))),
        "samc_archive_begin": (C.c_int, (C.c_void_p, C.c_void_p, C.POINTER(samc_auto_options), C.POINTER(samc_error))),
        "samc_archive_run": (
            C.c_int,
            (
                C.c_void_p,
                C.POINTER(C.c_void_p),
                C.c_int,
                C.POINTER(samc_archive_events),
                C.POINTER(samc_error),
            ),
        ),
        "samc_archive_stop": (None, (C.c_void_p,)),
        "samc_archive_get_counts": (C.c_int, (C.c_void_p, C.POINTER(samc_archive_counts), C.POINTER(samc_error))),
        "samc_archive_get_stage": (
            C.c_int,
            (
                C.c_void_p,
                C.c_int,
                C.POINTER(samc_archive_stage),
                C.POINTER(samc_error),
            ),
        ),
        "samc_archive_close": (None, (C.c_void_p,)),
        "samc_stream_create": (
            C.c_int,
            (
                C.c_void_p,
                C.POINTER(samc_stream_options),
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_stream_push": (C.c_int, (C.c_void_p, C.POINTER(samc_image), C.c_int64, C.POINTER(samc_error))),
        "samc_stream_finish": (None, (C.c_void_p,)),
        "samc_stream_stop": (None, (C.c_void_p,)),
        "samc_stream_next": (C.c_int, (C.c_void_p, C.POINTER(samc_stream_frame), C.POINTER(samc_error))),
        "samc_stream_get_counts": (C.c_int, (C.c_void_p, C.POINTER(samc_stream_counts), C.POINTER(samc_error))),
        "samc_stream_destroy": (None, (C.c_void_p,)),
        "samc_video_open": (
            C.c_int,
            (
                C.c_char_p,
                C.POINTER(samc_video_format),
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_video_get_format": (C.c_int, (C.c_void_p, C.POINTER(samc_video_format), C.POINTER(samc_error))),
        "samc_video_read": (C.c_int, (C.c_void_p, C.c_void_p, C.POINTER(C.c_bool), C.POINTER(samc_error))),
        "samc_video_stop": (None, (C.c_void_p,)),
        "samc_video_begin": (
            C.c_int,
            (
                C.c_char_p,
                C.POINTER(samc_video_format),
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_video_write": (C.c_int, (C.c_void_p, C.c_void_p, C.POINTER(samc_error))),
        "samc_video_close": (C.c_int, (C.c_void_p, C.POINTER(samc_error))),
        "samc_geo_library": (C.c_char_p, ()),
        "samc_geo_open": (
            C.c_int,
            (
                C.c_char_p,
                C.POINTER(samc_geo_options),
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_geo_get_info": (C.c_int, (C.c_void_p, C.POINTER(samc_geo_info), C.POINTER(samc_error))),
        "samc_geo_get_scale": (C.c_int, (C.c_void_p, C.POINTER(samc_scale), C.POINTER(samc_error))),
        "samc_geo_read": (
            C.c_int,
            (
                C.c_void_p,
                C.c_int64,
                C.c_int64,
                C.c_int,
                C.c_int,
                C.POINTER(samc_image),
                C.POINTER(samc_error),
            ),
        ),
        "samc_geo_to_pixel": (C.c_int, (C.c_void_p, C.c_void_p, C.c_void_p, C.POINTER(samc_error))),
        "samc_geo_to_map": (C.c_int, (C.c_void_p, C.c_void_p, C.c_void_p, C.POINTER(samc_error))),
        "samc_geo_boxes": (
            C.c_int,
            (
                C.c_void_p,
                C.c_char_p,
                C.POINTER(C.c_void_p),
                C.POINTER(C.c_int),
                C.POINTER(C.c_int),
                C.POINTER(samc_error),
            ),
        ),
        "samc_geo_close": (None, (C.c_void_p,)),
        "samc_geo_writer_open": (
            C.c_int,
            (
                C.c_void_p,
                C.c_char_p,
                C.c_int,
                C.POINTER(samc_geo_writer_options),
                C.POINTER(C.c_void_p),
                C.POINTER(samc_error),
            ),
        ),
        "samc_geo_writer_add": (C.c_int, (C.c_void_p, C.POINTER(samc_geo_mask), C.POINTER(samc_error))),
        "samc_geo_writer_commit": (C.c_int, (C.c_void_p, C.POINTER(samc_error))),
        "samc_geo_writer_abandon": (None, (C.c_void_p,)),
        "samc_tiles_default_options": (C.c_int, (C.POINTER(samc_tiles_options),)),
        "samc_tiles_open": (C.c_int, (C.POINTER(samc_tiles_options), C.POINTER(C.c_void_p), C.POINTER(samc_error))),
        "samc_tiles_get_counts": (C.c_int, (C.c_void_p, C.POINTER(samc_tiles_counts), C.POINTER(samc_error))),
        "samc_tiles_run": (
            C.c_int,
            (
                C.c_void_p,
                C.c_void_p,
                C.POINTER(C.c_void_p),
                C.c_int,
                C.POINTER(samc_auto_options),
                C.c_void_p,
                C.POINTER(samc_tiles_events),
                C.POINTER(samc_error),
            ),
        ),
        "samc_tiles_stop": (None, (C.c_void_p,)),
        "samc_tiles_close": (None, (C.c_void_p,)),
    },
}
