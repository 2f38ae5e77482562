// SPDX-License-Identifier: Apache-2.0
#include "linux/system.h"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <cstring>

#include "linux/arch.h"
#include "linux/procfs.h"

namespace snapcore::linux_os {
namespace {

constexpr std::uint32_t kPlatformLinux = 0x8201;
constexpr std::uint32_t kLinuxCpuInfo = 0x47670003;
constexpr std::uint32_t kLinuxLsbRelease = 0x47670005;

#if defined(__x86_64__)
void add_cpu(minidump::SystemInfo& info) {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (__get_cpuid(0, &eax, &ebx, &ecx, &edx) != 0) {
        char vendor[12];
        std::memcpy(vendor, &ebx, 4);
        std::memcpy(vendor + 4, &edx, 4);
        std::memcpy(vendor + 8, &ecx, 4);
        info.cpu_vendor.assign(vendor, sizeof vendor);
    }
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return;
    const unsigned family = (eax >> 8) & 0xf, model = (eax >> 4) & 0xf, stepping = eax & 0xf;
    const bool extended = family == 0xf || family == 6;
    info.processor_level =
        static_cast<std::uint16_t>(family == 0xf ? family + ((eax >> 20) & 0xff) : family);
    const unsigned full_model = extended ? model | ((eax >> 16) & 0xf) << 4 : model;
    info.processor_revision = static_cast<std::uint16_t>(full_model << 8 | stepping);
    info.cpu_version = eax;
    info.cpu_features = edx;
    if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) != 0) info.amd_features = edx;
}
#else
void add_cpu(minidump::SystemInfo&) {}
#endif

std::uint32_t megahertz(const char* file) {
    const std::string text = try_read_text(AT_FDCWD, file);  // in kHz
    return static_cast<std::uint32_t>(std::strtoul(text.c_str(), nullptr, 10) / 1000);
}

}  // namespace

minidump::SystemInfo system_info() {
    minidump::SystemInfo info;
    info.architecture = kArchitecture;
    info.platform_id = kPlatformLinux;
    info.processors = static_cast<std::uint32_t>(::sysconf(_SC_NPROCESSORS_ONLN));
    add_cpu(info);
    utsname name{};
    if (::uname(&name) == 0) {
        const char* rest = name.release;
        for (std::uint32_t* const part : {&info.major, &info.minor, &info.build}) {
            char* end = nullptr;
            *part = static_cast<std::uint32_t>(std::strtoul(rest, &end, 10));
            if (*end != '.') break;
            rest = end + 1;
        }
        info.os_text = std::string(name.sysname) + " " + name.release + " " + name.version + " " +
                       name.machine + " GNU/Linux";
    }
    info.max_mhz = megahertz("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
    info.current_mhz = megahertz("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq");
    return info;
}

minidump::SystemMemory system_memory() {
    const std::string text = try_read_text(AT_FDCWD, "/proc/meminfo");
    const auto bytes = [&](const char* key) -> std::uint64_t {
        const auto at = text.find(key);
        return at == std::string::npos
                   ? 0
                   : std::strtoull(text.c_str() + at + std::strlen(key), nullptr, 10) * 1024;
    };
    minidump::SystemMemory memory;
    memory.page_size = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    memory.total = bytes("MemTotal:");
    memory.available = bytes("MemAvailable:");
    memory.committed = bytes("Committed_AS:");
    memory.commit_limit = bytes("CommitLimit:");
    memory.file_cache = bytes("\nCached:");
    return memory;
}

std::vector<minidump::RawStream> system_streams() {
    std::vector<minidump::RawStream> out;
    out.push_back({kLinuxCpuInfo, try_read_text(AT_FDCWD, "/proc/cpuinfo")});
    std::string release = try_read_text(AT_FDCWD, "/etc/lsb-release");
    if (release.empty()) release = try_read_text(AT_FDCWD, "/etc/os-release");
    out.push_back({kLinuxLsbRelease, std::move(release)});
    return out;
}

}  // namespace snapcore::linux_os
