/* Runs a program, and reports its exit in the 8 bits that a Unix process has. A crash (0xC0000005, 0x80000100) must not
   read as 0. */
#include <windows.h>

int main(void)
{
    STARTUPINFOW start = {sizeof start};
    PROCESS_INFORMATION child;
    DWORD code = 125;
    WCHAR *line = GetCommandLineW();
    BOOL quoted = FALSE;

    for (; *line && (quoted || (*line != L' ' && *line != L'\t')); line++)
        quoted ^= *line == L'"';
    while (*line == L' ' || *line == L'\t')
        line++;
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
    if (!*line || !CreateProcessW(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child))
        return 126;
    WaitForSingleObject(child.hProcess, INFINITE);
    if (!GetExitCodeProcess(child.hProcess, &code))
        return 125;
    return code > 255 ? 125 : (int)code;
}
