/* runtime/jinja/lexer.h: (to be written) */
#pragma once
