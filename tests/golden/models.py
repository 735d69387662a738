"""The tiny models: config.json of each, the form of its weights, the lengths of its prompts."""

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}
QWEN2 = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "max_position_embeddings": 512,
    "use_sliding_window": False,
    "torch_dtype": "float32",
}
MISTRAL = {
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
}
PHI3 = {
    "architectures": ["Phi3ForCausalLM"],
    "model_type": "phi3",
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "original_max_position_embeddings": 512,
    "pad_token_id": None,
    "bos_token_id": 1,
    "eos_token_id": None,
    "torch_dtype": "float32",
}
QWEN3 = QWEN2 | {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
                 "attention_bias": False}
GEMMA2 = {
    "architectures": ["Gemma2ForCausalLM"],
    "model_type": "gemma2",
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_activation": "gelu_pytorch_tanh",
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "torch_dtype": "float32",
}
GEMMA3 = {
    "architectures": ["Gemma3ForCausalLM"],
    "model_type": "gemma3_text",
    "hidden_activation": "gelu_pytorch_tanh",
    "rms_norm_eps": 1e-06,
    "max_position_embeddings": 512,
    "torch_dtype": "float32",
}


def shape(layers, hidden, heads, kv_heads, ffn, vocab, head_dim=None):
    """The keys of config.json that say how large a model is."""
    keys = {"num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads,
            "num_key_value_heads": kv_heads, "intermediate_size": ffn, "vocab_size": vocab}
    return keys | ({"head_dim": head_dim} if head_dim else {})


def model(what, *parts, prompts=(1, 9, 40), steps=(), dtype="F32", shards=1, value_head=False):
    """One entry of MODELS; later parts of the config win."""
    config = {key: value for part in parts for key, value in part.items()}
    return {"what": what, "config": config, "prompts": prompts, "steps": steps, "dtype": dtype,
            "shards": shards, "value_head": value_head}


TINY = LLAMA | shape(2, 64, 4, 2, 160, 320)
ROPE = LLAMA | shape(2, 32, 4, 2, 48, 128, head_dim=16) | {"tie_word_embeddings": True}

MODELS = {
    "llama-tiny": model(
        "plain Llama; untied; 160 feed-forward columns: five leaves", TINY),
    "llama-bf16": model(
        "as llama-tiny, stored in bf16; computed in float32", TINY, {"torch_dtype": "bfloat16"},
        dtype="BF16"),
    "llama-f16": model(
        "as llama-tiny, stored in f16; computed in float32", TINY, {"torch_dtype": "float16"},
        dtype="F16"),
    "llama-bias": model(
        "biases on every linear layer of attention and of the MLP; tied",
        LLAMA, shape(2, 48, 6, 3, 96, 160),
        {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True}),
    "llama-16": model(
        "16 heads over 4, 512 feed-forward columns: 16 leaves in both; five vocabulary blocks; "
        "stored in bf16, computed in float32",
        LLAMA, shape(2, 32, 16, 4, 512, 1100, head_dim=16),
        {"tie_word_embeddings": True, "torch_dtype": "bfloat16"}, dtype="BF16"),
    "llama-rope3": model(
        "llama3 rope scaling; head_dim is not hidden / heads; tied; a prompt across the "
        "attention chunk of 256 positions",
        LLAMA, shape(2, 32, 4, 2, 64, 320, head_dim=32),
        {"tie_word_embeddings": True, "rope_theta": 500000.0, "rope_scaling": {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64}},
        prompts=(1, 9, 40, 250, 300)),
    "llama-linear": model(
        "linear rope scaling, with the old key \"type\"",
        ROPE, {"rope_scaling": {"type": "linear", "factor": 2.5}}),
    "llama-dynamic": model(
        "dynamic NTK rope scaling: prompt_* stay within max_position_embeddings, where the base "
        "is the plain one; step_0 goes beyond, a token at a time, so that each key is rotated by "
        "the base of the length at which it was new",
        ROPE, {"max_position_embeddings": 64, "rope_scaling": {
            "rope_type": "dynamic", "factor": 4.0}},
        steps=(80,)),
    "llama-yarn": model(
        "YaRN; the attention factor follows from the factor",
        ROPE, {"rope_scaling": {
            "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}},
        prompts=(1, 9, 200)),
    "llama-yarn-set": model(
        "YaRN with attention_factor, beta_fast and beta_slow given",
        ROPE, {"rope_scaling": {
            "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64,
            "attention_factor": 1.3, "beta_fast": 16.0, "beta_slow": 0.5}}),
    "llama-longrope": model(
        "LongRoPE; every prompt is longer than the original length, so that the long factors hold "
        "for all positions",
        ROPE, {"rope_scaling": {
            "rope_type": "longrope", "factor": 64.0, "original_max_position_embeddings": 8,
            "short_factor": [1.0, 1.0, 1.1, 1.2, 1.3, 1.5, 1.8, 2.0],
            "long_factor": [1.0, 1.2, 1.7, 2.5, 4.0, 7.0, 12.0, 20.0]}},
        prompts=(9, 24, 40)),
    "llama-rope-parameters": model(
        "the config.json of transformers 5: rope_parameters and dtype",
        {key: value for key, value in ROPE.items() if key not in ("rope_theta", "torch_dtype")},
        {"dtype": "float32", "rope_parameters": {"rope_type": "linear", "factor": 1.5,
                                                 "rope_theta": 5000.0}}),
    "qwen2-uneven": model(
        "14 heads over 2, with biases on q, k and v; tied; 80 feed-forward columns: three leaves",
        QWEN2, shape(2, 112, 14, 2, 80, 160), {"tie_word_embeddings": True}),
    "qwen2-untied": model(
        "as many key-value heads as heads, head_dim 24, untied, in two files with an index",
        QWEN2, shape(1, 96, 4, 4, 64, 160), {"tie_word_embeddings": False}, shards=2),
    "qwen2-window": model(
        "the upper two of three layers see 20 positions; 7 heads; tied",
        QWEN2, shape(3, 56, 7, 1, 80, 160),
        {"tie_word_embeddings": True, "use_sliding_window": True, "sliding_window": 20,
         "max_window_layers": 1}, prompts=(1, 15, 70)),
    "mistral-window": model(
        "every layer sees 24 positions, fewer than the prompts have; head_dim is not hidden / "
        "heads; a prompt across the attention chunk of 256 positions",
        MISTRAL, shape(2, 48, 6, 2, 80, 160, head_dim=16), {"sliding_window": 24},
        prompts=(9, 40, 270)),
    "mistral-nemo": model(
        "no window, and heads wider than hidden / heads; five heads over one",
        MISTRAL, shape(2, 40, 5, 1, 64, 160, head_dim=16), {"sliding_window": None}),
    "phi3-window": model(
        "q, k, v in one tensor, gate and up in another; 30 positions seen; six heads over three; "
        "stored in bf16, computed in float32",
        PHI3, shape(2, 48, 6, 3, 96, 160), {"sliding_window": 30, "torch_dtype": "bfloat16"},
        prompts=(1, 9, 60), dtype="BF16"),
    "phi3-longrope": model(
        "LongRoPE on three quarters of each head, as Phi-4-mini has it; tied; every prompt is "
        "longer than the original length",
        PHI3, shape(2, 48, 3, 1, 64, 160),
        {"tie_word_embeddings": True, "partial_rotary_factor": 0.75, "sliding_window": 4096,
         "original_max_position_embeddings": 8, "rope_scaling": {
             "type": "longrope",
             "short_factor": [1.0, 1.0, 1.1, 1.2, 1.3, 1.5],
             "long_factor": [1.0, 1.2, 1.7, 2.5, 4.0, 7.0]}},
        prompts=(9, 24, 40)),
    "qwen3-wide": model(
        "norms of the heads of q and k; head_dim is not hidden / heads; ten heads over two; tied",
        QWEN3, shape(2, 40, 10, 2, 80, 160, head_dim=24), {"tie_word_embeddings": True}),
    "qwen3-biased": model(
        "biases on q, k, v and o, and a window in the upper layer, beside the norms of heads",
        QWEN3, shape(2, 48, 3, 3, 64, 160, head_dim=16),
        {"attention_bias": True, "use_sliding_window": True, "sliding_window": 20,
         "max_window_layers": 1}, prompts=(1, 15, 60)),
    "gemma2-capped": model(
        "both soft caps, low enough to bend; every other layer sees 20 positions; scores are not "
        "scaled by the head_dim; tied by default",
        GEMMA2, shape(3, 48, 6, 2, 96, 160, head_dim=16),
        {"query_pre_attn_scalar": 20, "sliding_window": 20, "attn_logit_softcapping": 5.0,
         "final_logit_softcapping": 0.7}, prompts=(1, 15, 60)),
    "gemma2-bf16": model(
        "no caps; the layers by layer_types; stored in bf16, computed in float32",
        GEMMA2, shape(2, 48, 3, 1, 64, 160, head_dim=32),
        {"query_pre_attn_scalar": 32, "sliding_window": 24, "attn_logit_softcapping": None,
         "final_logit_softcapping": None, "torch_dtype": "bfloat16",
         "layer_types": ["full_attention", "sliding_attention"]},
        prompts=(1, 15, 60), dtype="BF16"),
    "gemma3-pattern": model(
        "every third of four layers sees all and rotates by scaled global frequencies, the others "
        "see 20 positions and rotate by local ones: four KV groups; a prompt across the attention "
        "chunk of 256 positions",
        GEMMA3, shape(4, 48, 6, 2, 96, 160, head_dim=16),
        {"query_pre_attn_scalar": 20, "sliding_window": 20, "sliding_window_pattern": 3,
         "rope_theta": 100000.0, "rope_local_base_freq": 5000.0,
         "rope_scaling": {"rope_type": "linear", "factor": 2.0}}, prompts=(1, 40, 270)),
    "gemma3-types": model(
        "the config.json of transformers 5: layer_types and rope_parameters by type; a soft cap of "
        "the logits",
        {key: value for key, value in GEMMA3.items() if key != "torch_dtype"},
        shape(3, 48, 3, 1, 64, 160, head_dim=24),
        {"dtype": "float32", "query_pre_attn_scalar": 24, "sliding_window": 20,
         "final_logit_softcapping": 1.0,
         "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
         "rope_parameters": {
             "sliding_attention": {"rope_type": "default", "rope_theta": 3000.0},
             "full_attention": {"rope_type": "linear", "factor": 3.0, "rope_theta": 50000.0}}},
        prompts=(1, 15, 60)),
    "llama-scores": model(
        "a head of three scores instead of the vocabulary; stored in bf16, computed in float32",
        LLAMA, shape(2, 48, 6, 3, 80, 160),
        {"architectures": ["LlamaForSequenceClassification"], "torch_dtype": "bfloat16",
         "pad_token_id": None, "id2label": {"0": "good", "1": "bad", "2": "odd"},
         "label2id": {"good": 0, "bad": 1, "odd": 2}}, dtype="BF16"),
    "mistral-value": model(
        "a value head in a file of its own beside a model that generates",
        MISTRAL, shape(2, 48, 6, 2, 80, 160), {"sliding_window": 24}, value_head=True),
    "qwen3-embedding": model(
        "no head at all: names without \"model.\", states after the last norm",
        QWEN3, shape(2, 40, 5, 1, 80, 160, head_dim=16), {"architectures": ["Qwen3Model"]}),
    "gemma3-embedding": model(
        "a Gemma without a head, whose layers see a window",
        GEMMA3, shape(2, 48, 3, 1, 64, 160, head_dim=16),
        {"architectures": ["Gemma3TextModel"], "query_pre_attn_scalar": 16, "sliding_window": 20,
         "sliding_window_pattern": 2}, prompts=(1, 15, 60)),
}
