// SPDX-License-Identifier: Apache-2.0
//
// A Windows process that knows the truth about itself: threads and names, one that has ended,
// handles of every kind, sentinel bytes in every kind of memory, and a thread whose registers hold
// known values while it spins. Arguments: a folder to write into; deny, to be opened by nobody.
#include <windows.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>

namespace {

char data_sentinel[64] = "snapcore: initialised data sentinel";
const char constant_sentinel[64] = "snapcore: constant sentinel";
std::atomic<char*> stack_address{nullptr};
std::atomic<bool> parked{false};

// The loader's list of modules: PEB, its PEB_LDR_DATA, InLoadOrderModuleList. Nothing but a capture
// follows it while this program waits for its next line.
LIST_ENTRY* module_list() {
    constexpr std::size_t kLdrInPeb = 0x18, kLoadOrder = 0x10;
    using CurrentPeb = std::uintptr_t(NTAPI*)();
    const auto current_peb = reinterpret_cast<CurrentPeb>(reinterpret_cast<void*>(
        GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "RtlGetCurrentPeb")));
    const auto ldr = *reinterpret_cast<std::uintptr_t*>(current_peb() + kLdrInPeb);
    return reinterpret_cast<LIST_ENTRY*>(ldr + kLoadOrder);
}

// Where its last entry says what comes next.
LIST_ENTRY*& last_module_link() {
    return module_list()->Blink->Flink;
}

class Json {
public:
    Json& add(const std::string& key, std::uint64_t value) {
        return raw(key, std::to_string(value));
    }
    Json& add(const std::string& key, const std::string& value) {
        std::string quoted = "\"";
        for (const char c : value) quoted += c == '\\' ? std::string("\\\\") : std::string(1, c);
        return raw(key, quoted + "\"");
    }
    Json& raw(const std::string& key, const std::string& value) {
        text_ += (text_.empty() ? "\"" : ",\"") + key + "\":" + value;
        return *this;
    }
    std::string str() const { return "{" + text_ + "}"; }
    void print() const {
        std::cout << str() << "\n";
        std::cout.flush();
    }

private:
    std::string text_;
};

std::uint64_t number(const void* pointer) {
    return reinterpret_cast<std::uint64_t>(pointer);
}

void name_thread(HANDLE thread, const wchar_t* name) {
    using Set = HRESULT(WINAPI*)(HANDLE, PCWSTR);
    const auto set = reinterpret_cast<Set>(reinterpret_cast<void*>(
        GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "SetThreadDescription")));
    if (set != nullptr) set(thread, name);
}

#if defined(_M_ARM64) || defined(__aarch64__)
DWORD WINAPI park(void*) {
    parked = true;
    for (;;) YieldProcessor();
}
#else
// Machine code, since not every compiler takes assembly: values into rbx and r12 to r15, then a
// loop.
const unsigned char kPark[] = {
    0x48, 0xbb, 0x01, 0x00, 0x00, 0x00, 0x5b, 0x5b, 0x5b, 0x5b,  // mov rbx, 0x5b5b5b5b00000001
    0x49, 0xbc, 0x0c, 0x00, 0x00, 0x00, 0x5b, 0x5b, 0x5b, 0x5b,  // mov r12, 0x5b5b5b5b0000000c
    0x49, 0xbd, 0x0d, 0x00, 0x00, 0x00, 0x5b, 0x5b, 0x5b, 0x5b,  // mov r13, 0x5b5b5b5b0000000d
    0x49, 0xbe, 0x0e, 0x00, 0x00, 0x00, 0x5b, 0x5b, 0x5b, 0x5b,  // mov r14, 0x5b5b5b5b0000000e
    0x49, 0xbf, 0x0f, 0x00, 0x00, 0x00, 0x5b, 0x5b, 0x5b, 0x5b,  // mov r15, 0x5b5b5b5b0000000f
    0x66, 0x48, 0x0f, 0x6e, 0xfb,                                // movq xmm7, rbx
    0xc6, 0x01, 0x01,                                            // mov byte ptr [rcx], 1
    0xf3, 0x90, 0xeb, 0xfc,                                      // pause; jmp to it
};

DWORD WINAPI park(void*) {
    void* const code = VirtualAlloc(nullptr, 4096, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    std::memcpy(code, kPark, sizeof kPark);
    DWORD before = 0;
    VirtualProtect(code, 4096, PAGE_EXECUTE_READ, &before);
    reinterpret_cast<void (*)(std::atomic<bool>*)>(code)(&parked);
    return 0;
}
#endif

DWORD WINAPI hold_stack(void* event) {
    char bytes[64];
    std::strcpy(bytes, "snapcore: stack sentinel");
    stack_address = bytes;
    WaitForSingleObject(event, INFINITE);
    return static_cast<DWORD>(bytes[0]);
}

DWORD WINAPI end_at_once(void*) {
    return 77;
}

// From now on nobody may open this process: its list of who may is empty.
void deny_everybody() {
    ACL nobody{};
    SECURITY_DESCRIPTOR descriptor{};
    InitializeAcl(&nobody, sizeof nobody, ACL_REVISION);
    InitializeSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION);
    SetSecurityDescriptorDacl(&descriptor, TRUE, &nobody, FALSE);
    SetKernelObjectSecurity(GetCurrentProcess(), DACL_SECURITY_INFORMATION, &descriptor);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string folder = argc > 1 ? argv[1] : "C:\\windows\\temp";
    const std::wstring pid = std::to_wstring(GetCurrentProcessId());
    const auto named = [&](const wchar_t* what) { return L"snapcore-" + pid + L"-" + what; };

    const HANDLE release = CreateEventW(nullptr, TRUE, FALSE, nullptr);
    DWORD parked_tid = 0, holder_tid = 0, ended_tid = 0;
    const HANDLE parked_thread = CreateThread(nullptr, 0, park, nullptr, 0, &parked_tid);
    const HANDLE holder = CreateThread(nullptr, 0, hold_stack, release, 0, &holder_tid);
    const HANDLE ended = CreateThread(nullptr, 0, end_at_once, nullptr, 0, &ended_tid);
    WaitForSingleObject(ended, INFINITE);
    name_thread(GetCurrentThread(), L"facts-main");
    name_thread(parked_thread, L"parked");
    name_thread(holder, L"stack-holder");
    while (!parked || stack_address == nullptr) Sleep(1);

    auto* const heap = static_cast<char*>(HeapAlloc(GetProcessHeap(), 0, 100));
    std::strcpy(heap, "snapcore: heap sentinel");
    constexpr SIZE_T kRegion = 1u << 20;
    auto* const region = static_cast<char*>(
        VirtualAlloc(nullptr, kRegion, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
    std::strcpy(region, "snapcore: region sentinel");
    void* const reserved = VirtualAlloc(nullptr, kRegion, MEM_RESERVE, PAGE_READWRITE);

    const std::string path = folder + "\\facts-file.txt";
    const HANDLE file = CreateFileA(path.c_str(),
                                    GENERIC_READ | GENERIC_WRITE,
                                    FILE_SHARE_READ | FILE_SHARE_DELETE,
                                    nullptr,
                                    CREATE_ALWAYS,
                                    0,
                                    nullptr);
    char contents[65536] = "snapcore: mapped file sentinel";
    DWORD written = 0;
    WriteFile(file, contents, sizeof contents, &written, nullptr);
    const HANDLE file_section = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
    const char* const file_view =
        static_cast<const char*>(MapViewOfFile(file_section, FILE_MAP_READ, 0, 0, 0));
    const HANDLE section = CreateFileMappingW(
        INVALID_HANDLE_VALUE, nullptr, PAGE_READWRITE, 0, 0x20000, named(L"section").c_str());
    auto* const section_view = static_cast<char*>(MapViewOfFile(section, FILE_MAP_WRITE, 0, 0, 0));
    std::strcpy(section_view, "snapcore: section sentinel");

    const HANDLE manual = CreateEventW(nullptr, TRUE, TRUE, named(L"manual").c_str());
    const HANDLE automatic = CreateEventW(nullptr, FALSE, FALSE, named(L"auto").c_str());
    const HANDLE mutex = CreateMutexW(nullptr, TRUE, named(L"mutex").c_str());
    const HANDLE semaphore = CreateSemaphoreW(nullptr, 3, 9, named(L"semaphore").c_str());
    HKEY key = nullptr;
    RegCreateKeyExW(HKEY_CURRENT_USER,
                    L"Software\\snapcore-test",
                    0,
                    nullptr,
                    0,
                    KEY_READ,
                    nullptr,
                    &key,
                    nullptr);
    const HANDLE self = OpenProcess(PROCESS_ALL_ACCESS, FALSE, GetCurrentProcessId());

    Json handles;
    handles.add("manual", number(manual))
        .add("auto", number(automatic))
        .add("mutex", number(mutex))
        .add("semaphore", number(semaphore))
        .add("section", number(section))
        .add("file", number(file))
        .add("key", number(key))
        .add("process", number(self))
        .add("thread", number(holder))
        .add("ended thread", number(ended));
    Json threads;
    threads.add(std::to_string(GetCurrentThreadId()), std::string("facts-main"))
        .add(std::to_string(parked_tid), std::string("parked"))
        .add(std::to_string(holder_tid), std::string("stack-holder"));
    Json sentinels;
    sentinels.add("initialised data sentinel", number(data_sentinel))
        .add("constant sentinel", number(constant_sentinel))
        .add("heap sentinel", number(heap))
        .add("region sentinel", number(region))
        .add("stack sentinel", number(stack_address.load()))
        .add("mapped file sentinel", number(file_view));
    Json()
        .add("pid", GetCurrentProcessId())
        .add("parked", parked_tid)
        .add("ended", ended_tid)
        .add("main", GetCurrentThreadId())
        .raw("threads", threads.str())
        .raw("handles", handles.str())
        .raw("sentinels", sentinels.str())
        .add("section sentinel", number(section_view))
        .add("region", number(region))
        .add("region_size", kRegion)
        .add("reserved", number(reserved))
        .add("image", number(GetModuleHandleW(nullptr)))
        .add("file", path)
        .print();

    if (argc > 2 && std::string(argv[2]) == "deny") deny_everybody();
    std::string line;
    while (std::getline(std::cin, line)) {
        if (!line.empty() && line.back() == '\r') line.pop_back();
        if (line == "change") {
            std::strcpy(heap, "CHANGED CHANGED CHANGED");
            std::strcpy(section_view, "CHANGED CHANGED CHANGED");
        } else if (line == "grow") {
            for (int i = 0; i < 10; ++i) CreateEventW(nullptr, TRUE, FALSE, nullptr);
        } else if (line == "break modules") {
            last_module_link() = reinterpret_cast<LIST_ENTRY*>(std::uintptr_t{0x10});
        } else if (line == "mend modules") {
            last_module_link() = module_list();
        }
        Json().add("done", line).print();
    }
    TerminateProcess(GetCurrentProcess(), 0);
}
