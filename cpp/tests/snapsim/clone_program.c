// SPDX-License-Identifier: Apache-2.0
//
// The stand-in's clone. It is created suspended and never runs; its base is out of everybody's way.
#include <windows.h>

void start(void) {
    ExitProcess(0);
}
