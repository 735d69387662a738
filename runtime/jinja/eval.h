/* runtime/jinja/eval.h: (to be written) */
#pragma once
