/* SPDX-License-Identifier: Apache-2.0

   What Python's headers need to know of 64-bit Windows, for the cross build of the test lane alone: on Windows the interpreter's own pyconfig.h is used. The
   other headers are those of the Python that builds, of the same minor version. */
#ifndef Py_CONFIG_H
#define Py_CONFIG_H

#include <io.h>

#define COMPILER "[GCC]"
#define PLATFORM "win32"
#define MS_WIN32
#define MS_WIN64
#define MS_WINDOWS
#define NT_THREADS
#define WITH_THREAD
#define Py_ENABLE_SHARED
#define HAVE_DECLSPEC_DLL
#define PY_SUPPORT_TIER 0
#define Py_BUILD_TIME_T_LONG_LONG

#define SIZEOF_SHORT 2
#define SIZEOF_INT 4
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
#define SIZEOF_FLOAT 4
#define SIZEOF_DOUBLE 8
#define SIZEOF_VOID_P 8
#define SIZEOF_SIZE_T 8
#define SIZEOF_TIME_T 8
#define SIZEOF_PID_T 8
#define SIZEOF_WCHAR_T 2
#define SIZEOF_FPOS_T 8
#define SIZEOF_HKEY 8
#define SIZEOF_OFF_T 4
#define ALIGNOF_SIZE_T 8
#define ALIGNOF_MAX_ALIGN_T 8

#define HAVE_LONG_LONG 1
#define HAVE_STDDEF_H 1
#define HAVE_STDINT_H 1
#define HAVE_STDARG_PROTOTYPES
#define HAVE_SYS_TYPES_H 1
#define HAVE_SYS_STAT_H 1
#define HAVE_ERRNO_H 1
#define HAVE_IO_H 1
#define HAVE_WCHAR_H 1
#define HAVE_STRFTIME 1
#define STDC_HEADERS 1
#define WITH_DOC_STRINGS 1
#define HAVE_DYNAMIC_LOADING
#define DOUBLE_IS_LITTLE_ENDIAN_IEEE754 1

#endif
