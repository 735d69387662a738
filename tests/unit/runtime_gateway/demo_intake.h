/* tests/unit/runtime_gateway/demo_intake.h: the tokenizer of the model that ships. */
#pragma once
#include "runtime/gateway/intake.h"

enum { DEMO_VOCAB = 2048 };

/* Read once for all tests, and never closed. */
struct intake *demo_intake(void);
