// SPDX-License-Identifier: Apache-2.0
#include <windows.h>

#include <system_error>

#include "base/error.h"
#include "base/text.h"

namespace snapcore {

std::string os_error_text(ErrorDomain domain, std::int64_t code) {
    if (domain == ErrorDomain::kErrno) {
        return std::generic_category().message(static_cast<int>(code));
    }
    auto number = static_cast<DWORD>(code);
    if (domain == ErrorDomain::kHresult && win32_of_hresult(number) != 0) {
        number = win32_of_hresult(number);
    }
    DWORD flags = FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS;
    HMODULE source = nullptr;
    if (domain == ErrorDomain::kNtStatus) {
        flags |= FORMAT_MESSAGE_FROM_HMODULE;
        source = ::GetModuleHandleW(L"ntdll.dll");
    }
    wchar_t text[512];
    const DWORD size = ::FormatMessageW(flags, source, number, 0, text, 512, nullptr);
    std::string out =
        utf16_to_utf8({reinterpret_cast<const char16_t*>(text), static_cast<std::size_t>(size)});
    while (!out.empty() &&
           (out.back() == '\n' || out.back() == '\r' || out.back() == '.' || out.back() == ' ')) {
        out.pop_back();
    }
    return out;
}

}  // namespace snapcore
