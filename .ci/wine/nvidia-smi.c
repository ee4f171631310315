/* Plays nvidia-smi. */
#include <stdio.h>
#include <string.h>

int main(int count, char **arguments)
{
    const char *question = count > 1 ? arguments[1] : "";

    if (!strncmp(question, "--query-gpu=", 12))
        puts("GPU-0, 00000000:3B:00.0, 570.133.20, 81920, 5626, 76294, 506, NVIDIA Fake 80GB");
    if (!strncmp(question, "--query-compute-apps=", 21))
        puts("GPU-0, 4184242, 2048\r\nGPU-0, 4184300, [N/A]");
    return 0;
}
