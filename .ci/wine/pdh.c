/* Performance counters of GPU memory as Windows names them, with what tests/windows/fakes.rs expects. Two linked cards,
   a process that is on an adapter that is not listed, an instance of no process, a value that is not valid. */
#include <windows.h>
#include <stdio.h>

typedef struct { DWORD status; LONGLONG value; } Value;
typedef struct { WCHAR *name; Value value; } Item;
typedef struct { const WCHAR *name; DWORD status; LONGLONG dedicated, shared; } Row;

#define LUID(card) L"luid_0x00000000_0x%08lX_phys_" card
static const Row PROCESSES[] = {
    {L"pid_4711_" LUID(L"0"), 0, 3LL << 30, 64 << 20},
    {L"pid_4711_" LUID(L"1"), 0, 1LL << 30, 0},
    {L"pid_4712_" LUID(L"0"), 1, 90LL << 30, 0}, /* more than any card has: it is what was promised */
    {L"pid_4713_" LUID(L"0"), 0, 0, 0},
    {L"pid_4714_" LUID(L"0"), 0xC0000BBA, 7 << 20, 0},
    {L"pid_4715_luid_0x00000000_0x0BADBAD0_phys_0", 0, 5 << 20, 0},
    {L"_Total", 0, 5 << 20, 0},
};
static const Row ADAPTERS[] = {{LUID(L"0"), 0, 5LL << 30, 128 << 20}};
/* Counters: 1, 2 of processes, 3, 4 of adapters; the even ones are of shared memory. */
enum { PROCESS_DEDICATED = 1, PROCESS_SHARED, ADAPTER_DEDICATED, ADAPTER_SHARED };

__declspec(dllexport) DWORD WINAPI PdhOpenQueryW(const WCHAR *source, DWORD_PTR data, HANDLE *query)
{
    *query = (HANDLE)1;
    return 0;
}

__declspec(dllexport) DWORD WINAPI PdhAddEnglishCounterW(HANDLE query, const WCHAR *path, DWORD_PTR data, HANDLE *counter)
{
    static const WCHAR *paths[] = {L"\\GPU Process Memory(*)\\Dedicated Usage", L"\\GPU Process Memory(*)\\Shared Usage",
                                   L"\\GPU Adapter Memory(*)\\Dedicated Usage", L"\\GPU Adapter Memory(*)\\Shared Usage"};
    for (int i = 0; i < 4; i++)
        if (!lstrcmpW(path, paths[i])) {
            *counter = (HANDLE)(DWORD_PTR)(i + 1);
            return 0;
        }
    return 0xC0000BB9;
}

__declspec(dllexport) DWORD WINAPI PdhCollectQueryData(HANDLE query)
{
    return 0;
}

__declspec(dllexport) DWORD WINAPI PdhGetFormattedCounterArrayW(HANDLE counter, DWORD format, DWORD *size, DWORD *count, Item *items)
{
    int which = (int)(DWORD_PTR)counter;
    const Row *rows = which <= PROCESS_SHARED ? PROCESSES : ADAPTERS;
    DWORD n = which <= PROCESS_SHARED ? sizeof PROCESSES / sizeof *PROCESSES : 1;
    DWORD needed = n * (sizeof *items + 64 * sizeof(WCHAR));
    WCHAR luid[16];
    WCHAR *text = (WCHAR *)(items + n);

    if (format != 0x400)
        return 0xC0000BBD;
    if (*size < needed) {
        *size = needed;
        return 0x800007D2;
    }
    /* Which adapter this system has is not known here. */
    if (!GetEnvironmentVariableW(L"FAKE_PDH_LUID", luid, 16))
        lstrcpyW(luid, L"3f0");
    for (DWORD i = 0; i < n; i++, text += 64) {
        swprintf(text, 64, rows[i].name, wcstoul(luid, NULL, 16));
        items[i].name = text;
        items[i].value.status = rows[i].status;
        items[i].value.value = which % 2 ? rows[i].dedicated : rows[i].shared;
    }
    *size = needed;
    *count = n;
    return 0;
}

__declspec(dllexport) DWORD WINAPI PdhCloseQuery(HANDLE query)
{
    return 0;
}
