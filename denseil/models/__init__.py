"""Models: frame encoders on any timm backbone, DenseIL and its siblings, names and weights."""

from denseil.models._card import model_card as model_card
from denseil.models._config import read_config as read_config
from denseil.models._config import update_config as update_config
from denseil.models._factory import create_model as create_model
from denseil.models._factory import is_model as is_model
from denseil.models._factory import list_models as list_models
from denseil.models._factory import list_pretrained as list_pretrained
from denseil.models._hub import push_to_hub as push_to_hub
from denseil.models._hub import save_pretrained as save_pretrained
from denseil.models._weights import load_backbone as load_backbone
from denseil.models._weights import load_weights as load_weights
from denseil.models._weights import read_weights as read_weights
from denseil.models.denseil import AttentionMap as AttentionMap
from denseil.models.denseil import DenseIL as DenseIL
from denseil.models.denseil import ReIDOutput as ReIDOutput
from denseil.models.frame_encoder import FrameEncoder as FrameEncoder
from denseil.models.interface import FrameTokenEncoder as FrameTokenEncoder
from denseil.models.interface import Preprocessing as Preprocessing
from denseil.models.interface import VideoEncoder as VideoEncoder
from denseil.models.optimized import Agreement as Agreement
from denseil.models.optimized import OptimizedDenseIL as OptimizedDenseIL
from denseil.models.optimized import agreement as agreement
from denseil.models.optimized import optimize as optimize
from denseil.models.profile import Profile as Profile
from denseil.models.profile import profile as profile
