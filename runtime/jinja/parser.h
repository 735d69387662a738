/* runtime/jinja/parser.h: (to be written) */
#pragma once
