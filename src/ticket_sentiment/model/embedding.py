"""Word embeddings by product quantization: half of a small encoder's parameters in a tenth of the bytes.

Jégou, Douze and Schmid 2011, "Product Quantization for Nearest Neighbor Search": a row is cut into parts, and
each part is replaced by the nearest of 256 short vectors, which k-means has chosen for that part. A token
then costs one byte a part, and no token leaves the vocabulary. The short vectors are parameters:
distillation goes on learning them.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CODES = 256  # a code is one byte
ITERATIONS = 10
SAMPLE = 8192  # tokens that k-means looks at; every token then gets the nearest vectors


class ProductEmbedding(nn.Module):
    """Token ids in, vectors out, like `nn.Embedding`.

    Args:
        tokens: rows of the vocabulary.
        hidden: units of a vector; a multiple of `parts`.
        parts: bytes a token.
    """

    codes: Tensor  # uint8 [tokens, parts]

    def __init__(self, tokens: int, hidden: int, parts: int) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = tokens, hidden
        self.register_buffer("codes", torch.zeros((tokens, parts), dtype=torch.uint8))
        # One table under another: part p's vectors are the rows from 256 p.
        self.vectors = nn.Parameter(torch.zeros((parts * CODES, hidden // parts)))
        self.register_buffer("offsets", torch.arange(parts) * CODES, persistent=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        """[batch, tokens] int64 to [batch, tokens, hidden]."""
        rows = F.embedding(input_ids, self.codes).long() + self.offsets
        return F.embedding(rows, self.vectors).flatten(-2)


def _nearest(part: Tensor, vectors: Tensor) -> Tensor:
    """Index of the nearest of `vectors` [256, units] for each row of `part` [tokens, units]."""
    return (vectors.square().sum(1) - 2 * part @ vectors.T).argmin(1)


def product_quantize(weight: Tensor, counts: Tensor, parts: int, seed: int) -> ProductEmbedding:
    """The embedding with the least squared error over tokens, weighted by how often each is seen.

    Lloyd's k-means for each part, on a sample. Tokens are drawn, and drawn ones are weighted, by the square
    root of their count plus one: in effect by that count in a large vocabulary, and none is given up.

    Args:
        weight: [tokens, hidden].
        counts: of each token in the training texts, [tokens].
        parts: bytes a token; must divide the hidden size.
        seed: of the first choice of vectors.
    """
    tokens, hidden = weight.shape
    embedding = ProductEmbedding(tokens, hidden, parts)
    generator = torch.Generator().manual_seed(seed)
    mass = (counts.to(weight.dtype) + 1).sqrt()
    sample = torch.multinomial(mass, min(SAMPLE, tokens), generator=generator)
    sampled, mass = weight[sample], mass[sample]
    units = hidden // parts
    for index in range(parts):
        columns = slice(index * units, (index + 1) * units)
        part = sampled[:, columns].contiguous()
        vectors = part[:CODES].clone()  # drawn by mass: the commonest tokens are likely among the first
        for _ in range(ITERATIONS):
            code = _nearest(part, vectors)
            total = torch.zeros(len(vectors)).index_add_(0, code, mass)
            sums = torch.zeros_like(vectors).index_add_(0, code, part * mass[:, None])
            filled = total > 0
            vectors[filled] = sums[filled] / total[filled, None]
        embedding.codes[:, index] = _nearest(weight[:, columns].contiguous(), vectors).to(torch.uint8)
        embedding.vectors.data[index * CODES : index * CODES + len(vectors)] = vectors
    return embedding
