/* runtime/endpoints/prompts.h: prompts of JSON as prompts of the api. */
#pragma once
#include "proto/json_prompts.h"
#include "runtime/api/generate.h"

struct arena;

/* [prompts->n] in the arena; texts and ids stay where they are. */
const struct api_prompt *prompts_of(const struct json_prompts *prompts, struct arena *arena);
