"""The paper's layers (Section 3). They need torch and einops only."""

from denseil.layers.attention import MultiHeadAttention as MultiHeadAttention
from denseil.layers.attention import SelfAttention as SelfAttention
from denseil.layers.block import DIDecoderBlock as DIDecoderBlock
from denseil.layers.decoder import DIDecoder as DIDecoder
from denseil.layers.dense_attention import DenseAttention as DenseAttention
from denseil.layers.fusion import DenseConcat as DenseConcat
from denseil.layers.fusion import DenseSum as DenseSum
from denseil.layers.fusion import FusionName as FusionName
from denseil.layers.head import AttentionHead as AttentionHead
from denseil.layers.head import BaselineHead as BaselineHead
from denseil.layers.head import ClipHead as ClipHead
from denseil.layers.head import DenseInteractionHead as DenseInteractionHead
from denseil.layers.neck import BNNeck as BNNeck
from denseil.layers.neck import ReIDOutput as ReIDOutput
from denseil.layers.part_pool import PartPool as PartPool
from denseil.layers.pos_emb import PosFormula as PosFormula
from denseil.layers.pos_emb import PosKind as PosKind
from denseil.layers.pos_emb import SpatioTemporalPosEmb as SpatioTemporalPosEmb
