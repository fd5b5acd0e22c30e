"""See which of seven emotions each face shows."""

import os

# Before anything imports TensorFlow: its start-up notes are not for the users of this package.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from emotion_model.classifier import EmotionClassifier, ModelConfig, ModelError
from emotion_model.detection import DetectorError, FaceDetector
from emotion_model.drawing import draw_emoji, draw_faces
from emotion_model.ensemble import EmotionEnsemble, TransformersClassifier
from emotion_model.face import Face
from emotion_model.images import ImageError, read_base64_image, read_image
from emotion_model.labels import EMOTIONS, LABELS, Label
from emotion_model.media import MediaError, MediaLimits, VideoReader
from emotion_model.pipeline import EmotionDetector
from emotion_model.timeline import TimelineWriter
from emotion_model.tracking import FaceTracker, TrackingConfig
from emotion_model.video import VideoConfig, VideoOutputs, VideoRun, analyze, video_detector

__all__ = [
    "EMOTIONS",
    "LABELS",
    "DetectorError",
    "EmotionClassifier",
    "EmotionDetector",
    "EmotionEnsemble",
    "Face",
    "FaceDetector",
    "FaceTracker",
    "ImageError",
    "Label",
    "MediaError",
    "MediaLimits",
    "ModelConfig",
    "ModelError",
    "TimelineWriter",
    "TrackingConfig",
    "TransformersClassifier",
    "VideoConfig",
    "VideoOutputs",
    "VideoReader",
    "VideoRun",
    "analyze",
    "draw_emoji",
    "draw_faces",
    "read_base64_image",
    "read_image",
    "video_detector",
]
