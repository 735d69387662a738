"""A Llama in plain PyTorch, for training on one CPU core.

The parameter names are those of Hugging Face checkpoints, so that state_dict() can be saved as
model.safetensors without a mapping. q, k and v, and gate and up, are separate weights for the same
reason.
"""

import torch
import torch.nn.functional as F
from torch import nn


def rope_tables(config, n_positions):
    """cos and sin [n_positions, head_dim]; the two halves of a head turn together."""
    half = torch.arange(0, config["head_dim"], 2, dtype=torch.float32) / config["head_dim"]
    angles = torch.outer(torch.arange(n_positions).float(), config["rope_theta"] ** -half)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Turn x [batch, heads, positions, head_dim] by its position."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, self.head_dim = config["hidden_size"], config["head_dim"]
        q_rows = config["num_attention_heads"] * self.head_dim
        kv_rows = config["num_key_value_heads"] * self.head_dim
        self.q_proj = nn.Linear(hidden, q_rows, bias=False)
        self.k_proj = nn.Linear(hidden, kv_rows, bias=False)
        self.v_proj = nn.Linear(hidden, kv_rows, bias=False)
        self.o_proj = nn.Linear(q_rows, hidden, bias=False)

    def heads(self, x):
        """[batch, positions, heads * head_dim] -> [batch, heads, positions, head_dim]"""
        return x.unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    def forward(self, x, cos, sin):
        q = rotate(self.heads(self.q_proj(x)), cos, sin)
        k = rotate(self.heads(self.k_proj(x)), cos, sin)
        v = self.heads(self.v_proj(x))
        group = q.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(group, dim=1), v.repeat_interleave(group, dim=1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(out.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, ffn = config["hidden_size"], config["intermediate_size"]
        self.gate_proj = nn.Linear(hidden, ffn, bias=False)
        self.up_proj = nn.Linear(hidden, ffn, bias=False)
        self.down_proj = nn.Linear(ffn, hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        norm = {"normalized_shape": config["hidden_size"], "eps": config["rms_norm_eps"]}
        self.input_layernorm = nn.RMSNorm(**norm)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(**norm)
        self.mlp = Mlp(config)

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = nn.RMSNorm(config["hidden_size"], eps=config["rms_norm_eps"])

    def forward(self, ids, cos, sin):
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)


class Llama(nn.Module):
    """ids [batch, positions] -> logits [batch, positions, vocab]; the head is the embedding."""

    def __init__(self, config, n_positions):
        super().__init__()
        self.model = Decoder(config)
        cos, sin = rope_tables(config, n_positions)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self.apply(self.init)
        shrink = (2 * config["num_hidden_layers"]) ** -0.5  # two additions per layer
        for layer in self.model.layers:
            layer.self_attn.o_proj.weight.data *= shrink
            layer.mlp.down_proj.weight.data *= shrink

    @staticmethod
    def init(module):
        """Linear by fan-in; the embedding small, because it is the head too."""
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features ** -0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, ids):
        n = ids.shape[1]
        x = self.model(ids, self.cos[:n], self.sin[:n])
        return F.linear(x, self.model.embed_tokens.weight)
