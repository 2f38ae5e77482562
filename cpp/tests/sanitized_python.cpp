// SPDX-License-Identifier: Apache-2.0
//
// The Python interpreter, linked with a sanitizer.
#include <Python.h>

int main(int argc, char** argv) {
    return Py_BytesMain(argc, argv);
}
