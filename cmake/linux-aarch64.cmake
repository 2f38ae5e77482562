# SPDX-License-Identifier: Apache-2.0
#
# Linux on AArch64, from Debian's cross compiler. The test lane alone uses it.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
# The Python that builds is asked for what does not differ; CMake wants to be told how it is run.
set(CMAKE_CROSSCOMPILING_EMULATOR env)
