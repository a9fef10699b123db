# sslkit for NVIDIA GPUs. Not run by its authors: they had no machine with Docker and a
# GPU at once. TensorFlow's own image has CUDA and cuDNN; the host needs the NVIDIA
# container toolkit.
#
#   docker build -t sslkit .
#   docker run --gpus all --rm -v "$PWD/runs:/runs" sslkit \
#     train --gin gin/fnc_digits_pretrain.gin --workdir /runs/fnc_digits
FROM tensorflow/tensorflow:2.20.0-gpu
COPY . /src
# The TensorFlow of the image stays: another one would bring no CUDA.
RUN python -m pip install --no-cache-dir --constraint /src/.ci/image.txt /src \
    && rm -rf /src
WORKDIR /runs
ENTRYPOINT ["sslkit"]
